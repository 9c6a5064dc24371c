"""DXA results that were entered or imported, and their pairs with CT series."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Select, and_, exists, insert, select, true
from sqlalchemy.orm import Session, aliased

from db.models import DxaResult, HipResult, Screening, Series
from db.results import hips_of, newest_graded_result
from db.states import WITH_RESULT, SeriesState


@dataclass(frozen=True, slots=True)
class NewDxa:
    """A T-score to be added; ``side`` is the measured hip, None if it applies to both."""

    patient_id: str
    issuer_of_patient_id: str | None
    dxa_date: date
    side: str | None
    t_score: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A DXA result and a CT series of the same patient with a result."""

    patient: tuple[str, str | None]
    dxa_date: date
    dxa_side: str | None
    t_score: float
    series_id: int
    study_date: date
    screening: Screening | None
    """The newest graded run; None for a rejected series."""
    hips: Sequence[HipResult]


def add_dxa(
    session: Session, results: Sequence[NewDxa], *, entered_by: str, now: datetime
) -> int:
    """Append results, except those already recorded with the same value; return the number.

    A newer row replaces an older one of the same patient, side and date.
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


def count_with_ct(session: Session, results: Sequence[NewDxa], *, max_days_apart: int) -> int:
    """Return the number of results with a CT of the patient at most so many days apart."""
    days = timedelta(days=max_days_apart)
    return sum(
        session.scalar(
            select(Series.id)
            .where(
                Series.patient_id == result.patient_id,
                Series.issuer_of_patient_id.is_not_distinct_from(result.issuer_of_patient_id),
                Series.study_date.between(result.dxa_date - days, result.dxa_date + days),
            )
            .limit(1)
        )
        is not None
        for result in results
    )


def dxa_of_patient(session: Session, series: Series) -> Sequence[DxaResult]:
    """Return the current DXA results of the patient of a series, newest date first."""
    if not series.patient_id:
        return ()
    return session.scalars(
        _current()
        .where(
            DxaResult.patient_id == series.patient_id,
            DxaResult.issuer_of_patient_id.is_not_distinct_from(series.issuer_of_patient_id),
        )
        .order_by(DxaResult.dxa_date.desc(), DxaResult.side.desc())
    ).all()


def pairs(session: Session, *, max_days_apart: int) -> list[Pair]:
    """Return every current DXA result with every such series, at most so many days apart.

    A series whose newest grade was withdrawn is left out.
    """
    current = _current().subquery()
    dxa = aliased(DxaResult, current)
    run = aliased(Screening, newest_graded_result(Series.id).lateral())
    days = timedelta(days=max_days_apart)
    rows = session.execute(
        select(dxa, Series, run)
        .select_from(dxa)
        .join(
            Series,
            and_(
                Series.patient_id == dxa.patient_id,
                Series.issuer_of_patient_id.is_not_distinct_from(dxa.issuer_of_patient_id),
                Series.study_date.between(dxa.dxa_date - days, dxa.dxa_date + days),
                Series.state.in_(WITH_RESULT),
            ),
        )
        .outerjoin(run, true())
        # Of a study with one result only the series that its run belongs to counts.
        .where(exists().where(Screening.series_id == Series.id), run.withdrawn_at.is_(None))
        .order_by(dxa.id, Series.id)
    ).all()
    hips = hips_of(session, [graded.id for _, _, graded in rows if graded is not None])
    return [_pair(result, series, graded, hips) for result, series, graded in rows]


def _current() -> "Select[DxaResult]":
    """Select the results that no newer row of the same patient, side and date replaces."""
    newer = aliased(DxaResult)
    replaced = exists().where(
        newer.patient_id == DxaResult.patient_id,
        newer.issuer_of_patient_id.is_not_distinct_from(DxaResult.issuer_of_patient_id),
        newer.dxa_date == DxaResult.dxa_date,
        newer.side.is_not_distinct_from(DxaResult.side),
        newer.id > DxaResult.id,
    )
    return select(DxaResult).where(~replaced)


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
    dxa: DxaResult, series: Series, run: Screening | None, hips: Mapping[int, list[HipResult]]
) -> Pair:
    # The join guarantees a study date. A series that was rejected after an earlier grade counts
    # as rejected.
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
