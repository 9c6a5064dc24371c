"""What of the spool is on record."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Series
from db.states import SeriesState


def registered_mtimes(session: Session) -> dict[tuple[str, str], int]:
    """Return (study, series UID) → folder modification time in ns at registration.

    A *receiving* series is left out: its current content is not registered.
    """
    rows = session.execute(
        select(
            Series.study_instance_uid, Series.series_instance_uid, Series.spool_mtime_ns
        ).where(Series.spool_mtime_ns.is_not(None), Series.state != SeriesState.RECEIVING)
    )
    return {(study, series): mtime_ns for study, series, mtime_ns in rows if mtime_ns}
