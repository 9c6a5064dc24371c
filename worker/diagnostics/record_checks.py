"""Checks of what the record has set aside: changed content, and results that are not sent."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from common.settings.worker import WorkerSettings
from db.held import count_held
from db.queue_status import oldest_waiting
from db.session import DatabaseError, make_engine, make_sessions
from db.withheld import count_withheld
from worker.diagnostics.diagnostic import Diagnostic

LONGEST_WAIT = timedelta(minutes=30)
"""As the alert SeriesWaitLong."""


def check_record(settings: WorkerSettings) -> Iterator[Diagnostic]:
    """Check changed content and withheld results; nothing while the database fails."""
    engine = make_engine(settings.database_url, application_name="osteoscreen doctor")
    try:
        with make_sessions(engine)() as session:
            held, withheld = count_held(session), count_withheld(session)
            waiting_since = oldest_waiting(session)
    except DatabaseError:
        return  # the check of the database has reported it
    finally:
        engine.dispose()
    yield queue_diagnostic(waiting_since, datetime.now(UTC))
    yield held_diagnostic(held)
    yield withheld_diagnostic(withheld)


def queue_diagnostic(waiting_since: datetime | None, now: datetime) -> Diagnostic:
    """Return the check of the queue, by the completion of the longest waiting series."""
    if waiting_since is None:
        return Diagnostic("queue", True, "nothing waits")
    waits = now - waiting_since
    detail = f"the longest waiting series was complete {waits.total_seconds() / 60:.0f} min ago"
    if waits <= LONGEST_WAIT:
        return Diagnostic("queue", True, detail)
    remedy = (
        "start a worker, restart one that is stuck (no answer at its metrics port), or add one"
    )
    return Diagnostic("queue", False, detail, remedy)


def held_diagnostic(images: int) -> Diagnostic:
    """Return the check of changed content, by the number of images that are held."""
    if not images:
        return Diagnostic("changed content", True, "none is held")
    return Diagnostic(
        "changed content",
        False,
        f"images held, which another sender changed: {images}",
        "list them with `python -m worker status`; then `python -m worker accept UID` or"
        " `python -m worker refuse UID`",
    )


def withheld_diagnostic(counts: dict[str, int]) -> Diagnostic:
    """Return the check of withheld results: the site chose the policy, so it never fails."""
    counted = ", ".join(f"{number} {code}" for code, number in sorted(counts.items()))
    detail = f"not sent by the screening policy: {counted}" if counted else "none"
    return Diagnostic("withheld results", True, detail)
