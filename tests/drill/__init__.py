"""Faults of a night shift, found by the operator's tools: ``python -m tests.drill``."""
