"""The story of one series: what ``show`` prints, and what a report looks back at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db.models import Delivery, Event, Hip, ResultObject, Screening, Series
from db.states import RunOutcome


@dataclass(frozen=True, slots=True)
class SentObject:
    """One object and how its delivery to one destination stands."""

    delivery: Delivery
    result_object: ResultObject


@dataclass(frozen=True, slots=True)
class SeriesHistory:
    """Everything on record about one series; runs, deliveries and events oldest first."""

    series: Series
    screenings: Sequence[Screening]
    hips: Sequence[Hip]
    deliveries: Sequence[SentObject]
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """A finished screening with the SR that said it (``path`` relative to the spool)."""

    screening: Screening
    hips: Sequence[Hip]
    study_instance_uid: str
    study_date: date | None
    report: ResultObject


def series_by_uid(session: Session, series_instance_uid: str) -> Series | None:
    """The series of that UID; the newest where two studies claim the same one."""
    return session.scalars(
        select(Series)
        .where(Series.series_instance_uid == series_instance_uid)
        .order_by(Series.id.desc())
        .limit(1)
    ).one_or_none()


def latest_screening(session: Session, series_id: int) -> Screening | None:
    """The newest run that ended in a result (screened or rejected)."""
    return session.scalars(
        select(Screening)
        .where(
            Screening.series_id == series_id,
            Screening.outcome.in_((RunOutcome.SCREENED, RunOutcome.REJECTED)),
        )
        .order_by(Screening.id.desc())
        .limit(1)
    ).one_or_none()


def series_history(session: Session, series_instance_uid: str) -> SeriesHistory | None:
    """One series with all that happened to it, or None where the UID is unknown."""
    series = series_by_uid(session, series_instance_uid)
    return None if series is None else history_of(session, series)


def history_of(session: Session, series: Series) -> SeriesHistory:
    """All that happened to a series."""
    screenings = session.scalars(
        select(Screening).where(Screening.series_id == series.id).order_by(Screening.id)
    ).all()
    latest = latest_screening(session, series.id)
    deliveries = session.execute(
        select(Delivery, ResultObject)
        .join(ResultObject, ResultObject.id == Delivery.object_id)
        .join(Screening, Screening.id == Delivery.screening_id)
        .where(Screening.series_id == series.id)
        .order_by(Delivery.id)
    )
    return SeriesHistory(
        series=series,
        screenings=screenings,
        hips=() if latest is None else _hips(session, latest.id),
        deliveries=tuple(SentObject(delivery, one) for delivery, one in deliveries),
        events=session.scalars(
            select(Event).where(Event.series_id == series.id).order_by(Event.id)
        ).all(),
    )


def predecessor(session: Session, series_id: int, *, revision: int) -> EarlierResult | None:
    """The newest result of an earlier revision of this series (its SR is superseded)."""
    newest = (
        _results()
        .where(Screening.series_id == series_id, Screening.revision < revision)
        .order_by(Screening.id.desc())
        .limit(1)
    )
    return next(_earlier_results(session, newest), None)


def previous_results(session: Session, series_id: int, *, limit: int) -> list[EarlierResult]:
    """The newest result of each earlier study of the same patient, newest study first.

    Same Patient ID and issuer; a series without Patient ID or Study Date has none.
    """
    series = session.get_one(Series, series_id)
    if not series.patient_id or series.study_date is None:
        return []
    newest_of_each_study = (
        _results()
        .with_only_columns(func.max(Screening.id), maintain_column_froms=True)
        .where(
            Series.patient_id == series.patient_id,
            Series.issuer_of_patient_id.is_not_distinct_from(series.issuer_of_patient_id),
            Series.study_instance_uid != series.study_instance_uid,
            Series.study_date < series.study_date,
        )
        .group_by(Series.study_instance_uid)
    )
    wanted = (
        _results()
        .where(Screening.id.in_(newest_of_each_study))
        .order_by(Series.study_date.desc(), Screening.id.desc())
        .limit(limit)
    )
    return list(_earlier_results(session, wanted))


def _results() -> "Select[Screening, Series, ResultObject]":
    """Runs that ended in a report, with their series."""
    return (
        select(Screening, Series, ResultObject)
        .join(Series, Series.id == Screening.series_id)
        .join(ResultObject, ResultObject.screening_id == Screening.id)
        .where(Screening.outcome == RunOutcome.SCREENED, ResultObject.role == "sr")
    )


def _earlier_results(
    session: Session, wanted: "Select[Screening, Series, ResultObject]"
) -> Iterator[EarlierResult]:
    for screening, series, report in session.execute(wanted).all():
        yield EarlierResult(
            screening=screening,
            hips=_hips(session, screening.id),
            study_instance_uid=series.study_instance_uid,
            study_date=series.study_date,
            report=report,
        )


def _hips(session: Session, screening_id: int) -> Sequence[Hip]:
    return session.scalars(
        select(Hip).where(Hip.screening_id == screening_id).order_by(Hip.side.desc())
    ).all()
