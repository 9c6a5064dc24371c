"""DXA results that are entered or imported later, and the CT series of the same patients."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Select, and_, insert, select, true
from sqlalchemy.orm import Session, aliased

from db.models import Hip, Screening, Series
from db.review_models import DxaResult
from db.states import RunOutcome, SeriesState

MAX_DAYS_APART = 92
"""Ha 2024: CT within three months before or after DXA; as ``training prepare`` has it."""

FINISHED = (SeriesState.SCREENED, SeriesState.DELIVERED, SeriesState.REJECTED)


@dataclass(frozen=True, slots=True)
class NewDxa:
    """A T-score; ``side`` : the hip that was measured, None where it holds for both."""

    patient_id: str
    issuer_of_patient_id: str | None
    dxa_date: date
    side: str | None
    t_score: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A DXA result and a finished CT series of the same patient, near enough in time."""

    patient: tuple[str, str | None]
    dxa_date: date
    dxa_side: str | None
    t_score: float
    series_id: int
    study_date: date
    screening: Screening | None
    """The newest run that was graded; None for a rejected series."""
    hips: Sequence[Hip]


def add_dxa(
    session: Session, results: Sequence[NewDxa], *, entered_by: str, now: datetime
) -> int:
    """Append results; what is on record with the same value is left out. Returns how many.

    A newer row of the same patient, side and date replaces the former one.
    """
    added = 0
    for result in results:
        if _is_known(session, result):
            continue
        session.execute(
            insert(DxaResult).values(at=now, entered_by=entered_by, **asdict(result))
        )
        added += 1
    return added


def count_with_ct(session: Session, results: Sequence[NewDxa]) -> int:
    """How many of these have a CT of the same patient within three months."""
    return sum(
        session.scalar(
            select(Series.id)
            .where(
                Series.patient_id == result.patient_id,
                Series.issuer_of_patient_id.is_not_distinct_from(result.issuer_of_patient_id),
                Series.study_date.between(
                    result.dxa_date - timedelta(days=MAX_DAYS_APART),
                    result.dxa_date + timedelta(days=MAX_DAYS_APART),
                ),
            )
            .limit(1)
        )
        is not None
        for result in results
    )


def dxa_of_patient(session: Session, series: Series) -> Sequence[DxaResult]:
    """What counts for the patient of a series, newest date first."""
    if not series.patient_id:
        return ()
    return session.scalars(
        _current()
        .where(
            DxaResult.patient_id == series.patient_id,
            DxaResult.issuer_of_patient_id.is_not_distinct_from(series.issuer_of_patient_id),
        )
        .order_by(None)
        .order_by(*KEY, DxaResult.id.desc())
    ).all()[::-1]


def pairs(session: Session) -> list[Pair]:
    """Every DXA result with every finished series of that patient within three months."""
    current = _current().subquery()
    dxa = aliased(DxaResult, current)
    newest = (
        select(Screening)
        .where(Screening.series_id == Series.id, Screening.outcome == RunOutcome.SCREENED)
        .order_by(Screening.id.desc())
        .limit(1)
        .lateral()
    )
    run = aliased(Screening, newest)
    days = timedelta(days=MAX_DAYS_APART)
    rows = session.execute(
        select(dxa, Series, run)
        .join(
            Series,
            and_(
                Series.patient_id == dxa.patient_id,
                Series.issuer_of_patient_id.is_not_distinct_from(dxa.issuer_of_patient_id),
                Series.study_date.between(dxa.dxa_date - days, dxa.dxa_date + days),
                Series.state.in_(FINISHED),
            ),
        )
        .outerjoin(run, true())
        .order_by(dxa.id, Series.id)
    ).all()
    ids = [one.id for _, _, one in rows if one is not None]
    hips: dict[int, list[Hip]] = {}
    for hip in session.scalars(
        select(Hip).where(Hip.screening_id.in_(ids)).order_by(Hip.side.desc())
    ):
        hips.setdefault(hip.screening_id, []).append(hip)
    return [_pair(result, series, one, hips) for result, series, one in rows]


KEY = (
    DxaResult.patient_id,
    DxaResult.issuer_of_patient_id,
    DxaResult.dxa_date,
    DxaResult.side,
)


def _current() -> "Select[DxaResult]":
    return select(DxaResult).distinct(*KEY).order_by(*KEY, DxaResult.id.desc())


def _is_known(session: Session, result: NewDxa) -> bool:
    newest = session.scalars(
        select(DxaResult)
        .where(
            DxaResult.patient_id == result.patient_id,
            DxaResult.issuer_of_patient_id.is_not_distinct_from(result.issuer_of_patient_id),
            DxaResult.dxa_date == result.dxa_date,
            DxaResult.side.is_not_distinct_from(result.side),
        )
        .order_by(DxaResult.id.desc())
        .limit(1)
    ).one_or_none()
    return newest is not None and newest.t_score == result.t_score


def _pair(
    dxa: DxaResult, series: Series, run: Screening | None, hips: dict[int, list[Hip]]
) -> Pair:
    # The join has seen to it that there is a study date. A series that was rejected after an
    # earlier grade counts as rejected.
    rejected = run is None or series.state is SeriesState.REJECTED
    return Pair(
        patient=(dxa.patient_id, dxa.issuer_of_patient_id),
        dxa_date=dxa.dxa_date,
        dxa_side=dxa.side,
        t_score=dxa.t_score,
        series_id=series.id,
        study_date=series.study_date or dxa.dxa_date,
        screening=None if rejected else run,
        hips=() if run is None or rejected else hips.get(run.id, []),
    )
