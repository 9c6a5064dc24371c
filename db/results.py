"""Queries for the newest result of a series and for the hips of a screening.

A *result* is a run that ended as screened or rejected; a *graded result* ended as screened.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Select, and_, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Load, Session, aliased

from db.models import HipResult, Screening, Series
from db.states import RunOutcome

RESULTS = (RunOutcome.SCREENED, RunOutcome.REJECTED)
SeriesId = int | InstrumentedAttribute[int]
LISTED_COLUMNS = (
    "id", "series_id", "study_id", "revision", "folder", "outcome", "grade", "withdrawn_at",
    "withdrawal_reason", "model_name", "model_version", "model_training_data",
    "model_simulated",
)  # fmt: skip
"""Columns of a run in lists: without ``result``, some kilobytes of JSON per row."""


def newest_result(series_id: SeriesId) -> "Select[Screening]":
    """Select the newest run of a series that ended as screened or rejected.

    Pass ``Series.id`` and call ``lateral()`` to join it to each series of a query.
    """
    return _newest(Screening.series_id == series_id, Screening.outcome.in_(RESULTS))


def only_listed(run: type[Screening]) -> Load:
    """Return the option that loads ``LISTED_COLUMNS`` of a run; others raise an error."""
    columns = (getattr(run, name) for name in LISTED_COLUMNS)
    return Load(run).load_only(*columns, raiseload=True)


def newest_graded_result(series_id: SeriesId) -> "Select[Screening]":
    """Select the newest run of a series that ended as screened, as ``newest_result`` does."""
    return _newest(Screening.series_id == series_id, Screening.outcome == RunOutcome.SCREENED)


def newest_study_result(study_id: int) -> "Select[Screening]":
    """Select the newest run of a study that ended as screened."""
    return _newest(Screening.study_id == study_id, Screening.outcome == RunOutcome.SCREENED)


def newest_of_same(run: Screening) -> "Select[Screening]":
    """Select the newest result of the series or study that a run belongs to."""
    if run.study_id is not None:
        return newest_study_result(run.study_id)
    return newest_result(run.series_id)


def is_current() -> ColumnElement[bool]:
    """Return the condition that a run is the graded result that stands.

    It is neither withdrawn nor superseded by a later result of its series or study.
    """
    later = aliased(Screening)
    is_later = (later.id > Screening.id, later.outcome.in_(RESULTS))
    of_study = later.study_id == Screening.study_id
    of_series = and_(
        Screening.study_id.is_(None),
        later.study_id.is_(None),
        later.series_id == Screening.series_id,
    )
    return and_(
        Screening.outcome == RunOutcome.SCREENED,
        Screening.withdrawn_at.is_(None),
        ~exists().where(*is_later, of_study),
        ~exists().where(*is_later, of_series),
    )


def lumbar_hu_of(session: Session, screening_ids: Iterable[int]) -> dict[int, dict[str, float]]:
    """Return screening → level → attenuation of the measured lumbar vertebrae, HU."""
    statement = select(Screening.id, Screening.result["measurements"])
    rows = session.execute(statement.where(Screening.id.in_(screening_ids)))
    return {
        screening_id: {
            one["site"]: one["mean_hu"] for one in measured or () if one["mean_hu"] is not None
        }
        for screening_id, measured in rows
    }


def withheld_run(screenings: Iterable[Screening]) -> Screening | None:
    """Return the newest result of ``screenings``, oldest first, if it is not delivered."""
    results = [run for run in screenings if run.outcome in RESULTS]
    return results[-1] if results and results[-1].not_delivered_code is not None else None


def result_folder(session: Session, series: Series, revision: int) -> str | None:
    """Return the folder of the newest result of a revision; None for the usual one."""
    newest = newest_graded_result(series.id).where(Screening.revision == revision)
    return session.scalar(newest.with_only_columns(Screening.folder))


def hips_of(session: Session, screening_ids: Iterable[int]) -> Mapping[int, list[HipResult]]:
    """Return the hips of each screening, right before left."""
    hips: dict[int, list[HipResult]] = {}
    statement = select(HipResult).where(HipResult.screening_id.in_(list(screening_ids)))
    for hip in session.scalars(
        statement.order_by(HipResult.screening_id, HipResult.side.desc())
    ):
        hips.setdefault(hip.screening_id, []).append(hip)
    return hips


def _newest(*conditions: ColumnElement[bool]) -> "Select[Screening]":
    return select(Screening).where(*conditions).order_by(Screening.id.desc()).limit(1)
