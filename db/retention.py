"""Retention: delete the instances of finished series; results and rows are kept."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from common.spool.layout import SeriesKey, list_series, remove_series
from db.models import HeldInstance, Series, Study
from db.states import FINISHED, STUDY_FINISHED, HeldState


def remove_old_pixels(session: Session, spool_dir: Path, *, before: datetime) -> int:
    """Delete the instances of series that finished before ``before``; return their number.

    Starts from the folders of the spool, so that the cost depends on their number and not on
    the size of the database. Unregistered series are kept, and those with changed content that
    waits for a decision.
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
            select(Series.id)
            .join(Study, Study.id == Series.study_id)
            .where(
                Series.study_instance_uid == key.study_instance_uid,
                Series.series_instance_uid == key.series_instance_uid,
                Series.state.in_(FINISHED),
                Series.changed_at < before,
                or_(Study.state.is_(None), Study.state.in_(STUDY_FINISHED)),
                ~exists().where(
                    HeldInstance.series_id == Series.id,
                    HeldInstance.state == HeldState.HELD,
                ),
            )
        )
        is not None
    )
