"""Workshops of tests, and series that are due in them."""

from tests.integration import record
from worker.workshop import Workshop, utc_now


def with_settings(workshop: Workshop, **changes: object) -> Workshop:
    return Workshop(workshop.settings.model_copy(update=changes))


def register(workshop: Workshop, number: int = 1) -> int:
    """A series that is due since this moment."""
    series = record.completed(series_instance_uid=f"1.2.3.{number}")
    return record.register(workshop.sessions, series, now=utc_now()).series_id
