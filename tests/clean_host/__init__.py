"""The Debian package from installation to removal in a clean system: ``make cleanhost``."""
