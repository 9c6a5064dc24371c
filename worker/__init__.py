"""The craft: Celery tasks around a pure pipeline. Imports nothing, so that it stays light."""
