"""Worker contexts with changed settings, and a due series in the database of a context."""

from db.history import SeriesHistory, series_history
from tests.support import record
from worker.context import WorkerContext, utc_now


def with_settings(context: WorkerContext, **changes: object) -> WorkerContext:
    """Return a context of its own with changed settings."""
    return WorkerContext(context.settings.model_copy(update=changes))


def register(context: WorkerContext, number: int = 1) -> int:
    """Register a series that is due now; return its database id."""
    series = record.completed(series_instance_uid=f"1.2.3.{number}")
    return record.register(context.sessions, series, now=utc_now()).series_id


def history(context: WorkerContext, number: int = 1) -> SeriesHistory:
    """Return everything on record about a series that ``register`` has registered."""
    with context.sessions.begin() as session:
        found = series_history(session, f"1.2.3.{number}")
    assert found is not None
    return found
