"""What a run over a study reads from the record: its complete series and its result."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import HipResult, Series
from db.results import newest_study_result
from db.states import FINISHED, SeriesState


@dataclass(frozen=True, slots=True)
class RunSeries:
    """A complete series of a leased study.

    ``is_new`` : new or changed since the last run that ended with a result.
    """

    series_id: int
    series_instance_uid: str
    revision: int
    refused_count: int
    attempts: int
    completed_at: datetime
    is_new: bool


@dataclass(frozen=True, slots=True)
class StandingResult:
    """The current result of a study.

    ``series_ids`` : the series that it is taken from. ``graded_sides`` : sides with a grade.
    ``is_withheld`` : the screening policy keeps it from being delivered.
    """

    screening_id: int
    finished_at: datetime | None
    series_ids: frozenset[int]
    graded_sides: frozenset[str]
    is_withheld: bool = False


def run_series(session: Session, study_id: int) -> tuple[RunSeries, ...]:
    """Return the complete series of a study, in the order of their first arrival."""
    rows = session.scalars(
        select(Series)
        .where(
            Series.study_id == study_id,
            Series.revision > 0,
            Series.state != SeriesState.RECEIVING,
        )
        .order_by(Series.id)
    )
    return tuple(
        RunSeries(
            series_id=row.id,
            series_instance_uid=row.series_instance_uid,
            revision=row.revision,
            refused_count=row.refused_count,
            attempts=row.attempts,
            completed_at=row.completed_at or row.created_at,
            is_new=row.state not in FINISHED,
        )
        for row in rows
    )


def standing_result(session: Session, study_id: int) -> StandingResult | None:
    """Return the current result of a study, None if it has none."""
    run = session.scalars(newest_study_result(study_id)).one_or_none()
    if run is None:
        return None
    hips = session.scalars(select(HipResult).where(HipResult.screening_id == run.id)).all()
    return StandingResult(
        screening_id=run.id,
        finished_at=run.finished_at,
        series_ids=frozenset(
            {run.series_id, *(hip.series_id or run.series_id for hip in hips)}
        ),
        graded_sides=frozenset(hip.side for hip in hips if hip.grade is not None),
        is_withheld=run.not_delivered_code is not None,
    )
