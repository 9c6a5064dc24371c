"""Celery tasks around a pure pipeline. This module imports nothing, so that it stays light."""
