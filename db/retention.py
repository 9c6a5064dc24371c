"""Pixels of finished series are deleted after a while; results and rows stay."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Series
from db.spool import SeriesKey, list_series, remove_series
from db.states import SeriesState

FINISHED = frozenset(
    {SeriesState.SCREENED, SeriesState.DELIVERED, SeriesState.REJECTED, SeriesState.FAILED}
)


def remove_old_pixels(session: Session, spool_dir: Path, *, before: datetime) -> int:
    """Delete the instances of series that were finished before then; returns how many series.

    The spool is asked first, so that the work grows with what is left in it and not with all
    that was ever on record. A series that the record does not know is left alone.
    """
    removed = 0
    for key, mtime_ns in list(list_series(spool_dir)):
        if datetime.fromtimestamp(mtime_ns / 1e9, UTC) < before and _is_finished(
            session, key, before
        ):
            remove_series(spool_dir, key, before=before)
            removed += 1
    return removed


def _is_finished(session: Session, key: SeriesKey, before: datetime) -> bool:
    return (
        session.scalar(
            select(Series.id).where(
                Series.study_instance_uid == key.study_instance_uid,
                Series.series_instance_uid == key.series_instance_uid,
                Series.state.in_(FINISHED),
                Series.changed_at < before,
            )
        )
        is not None
    )
