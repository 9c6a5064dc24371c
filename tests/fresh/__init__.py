"""The README's two commands in clean Debian systems: ``python -m tests.fresh``."""
