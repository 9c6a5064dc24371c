"""History of a series, and earlier results of the same patient."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Select, func, select, true
from sqlalchemy.orm import Session

from db.held import HeldContent, held_of_series
from db.models import (
    Delivery,
    Event,
    HipResult,
    ResultObject,
    Screening,
    Series,
    Study,
    StudyEvent,
)
from db.results import hips_of, is_current, newest_result, newest_study_result
from db.states import RunOutcome


@dataclass(frozen=True, slots=True)
class SentObject:
    """A result object and its delivery to a destination."""

    delivery: Delivery
    result_object: ResultObject


@dataclass(frozen=True, slots=True)
class SeriesHistory:
    """All rows of a series; runs, deliveries and events are sorted, oldest first.

    ``held`` : changed content from other senders that waits for a decision.
    """

    series: Series
    screenings: Sequence[Screening]
    hips: Sequence[HipResult]
    deliveries: Sequence[SentObject]
    events: Sequence[Event]
    held: Sequence[HeldContent] = ()


@dataclass(frozen=True, slots=True)
class StudyHistory:
    """All rows of a study with one result; its series by rank, excluded ones last."""

    study: Study
    series: Sequence[Series]
    screenings: Sequence[Screening]
    hips: Sequence[HipResult]
    deliveries: Sequence[SentObject]
    events: Sequence[StudyEvent]
    held: Sequence[HeldContent] = ()


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """A graded screening and its SR (``path`` relative to the spool)."""

    screening: Screening
    hips: Sequence[HipResult]
    study_instance_uid: str
    study_date: date | None
    report: ResultObject


def series_by_uid(session: Session, series_instance_uid: str) -> Series | None:
    """Return the series with this UID; the newest if two studies use the same UID."""
    return session.scalars(
        select(Series)
        .where(Series.series_instance_uid == series_instance_uid)
        .order_by(Series.id.desc())
        .limit(1)
    ).one_or_none()


def series_history(session: Session, series_instance_uid: str) -> SeriesHistory | None:
    """Return the history of the series with this UID, or None if the UID is unknown."""
    series = series_by_uid(session, series_instance_uid)
    return None if series is None else history_of(session, series)


def history_of(session: Session, series: Series) -> SeriesHistory:
    """Return the history of a series."""
    screenings = session.scalars(
        select(Screening).where(Screening.series_id == series.id).order_by(Screening.id)
    ).all()
    newest = session.scalars(newest_result(series.id)).one_or_none()
    return SeriesHistory(
        series=series,
        screenings=screenings,
        hips=() if newest is None else _hips(session, newest.id),
        deliveries=_deliveries(session, Screening.series_id == series.id),
        events=session.scalars(
            select(Event).where(Event.series_id == series.id).order_by(Event.id)
        ).all(),
        held=held_of_series(session, [series.id]),
    )


def study_history(session: Session, study_instance_uid: str) -> StudyHistory | None:
    """Return the history of a study with one result, or None if there is none."""
    study = session.scalars(
        select(Study).where(
            Study.study_instance_uid == study_instance_uid, Study.state.is_not(None)
        )
    ).one_or_none()
    if study is None:
        return None
    of_study = Screening.study_id == study.id
    newest = session.scalars(newest_study_result(study.id)).one_or_none()
    series = session.scalars(
        select(Series)
        .where(Series.study_id == study.id)
        .order_by(Series.rank.nulls_last(), Series.series_number, Series.id)
    ).all()
    return StudyHistory(
        study=study,
        series=series,
        screenings=session.scalars(
            select(Screening).where(of_study).order_by(Screening.id)
        ).all(),
        hips=() if newest is None else _hips(session, newest.id),
        deliveries=_deliveries(session, of_study),
        events=session.scalars(
            select(StudyEvent).where(StudyEvent.study_id == study.id).order_by(StudyEvent.id)
        ).all(),
        held=held_of_series(session, [one.id for one in series]),
    )


def _deliveries(session: Session, of_runs: ColumnElement[bool]) -> tuple[SentObject, ...]:
    rows = session.execute(
        select(Delivery, ResultObject)
        .join(ResultObject, ResultObject.id == Delivery.object_id)
        .join(Screening, Screening.id == Delivery.screening_id)
        .where(of_runs)
        .order_by(Delivery.id)
    )
    return tuple(SentObject(delivery, one) for delivery, one in rows)


def predecessor(session: Session, series_id: int, *, revision: int) -> EarlierResult | None:
    """Return the newest graded result of an earlier revision, whose SR is superseded.

    A withdrawn one is no predecessor. One that was not delivered has no SR at a destination,
    and is passed over.
    """
    newest = (
        _results()
        .where(
            Screening.series_id == series_id,
            Screening.revision < revision,
            Screening.withdrawn_at.is_(None),
            Screening.not_delivered_code.is_(None),
        )
        .order_by(Screening.id.desc())
        .limit(1)
    )
    return next(_earlier_results(session, newest), None)


def study_predecessor(session: Session, study_id: int) -> EarlierResult | None:
    """Return the newest graded result of a study, whose SR the next one supersedes.

    A withdrawn one is no predecessor. One that was not delivered has no SR at a destination,
    and is passed over.
    """
    newest = (
        _results()
        .where(
            Screening.study_id == study_id,
            Screening.withdrawn_at.is_(None),
            Screening.not_delivered_code.is_(None),
        )
        .order_by(Screening.id.desc())
        .limit(1)
    )
    return next(_earlier_results(session, newest), None)


def previous_results(session: Session, series_id: int, *, limit: int) -> list[EarlierResult]:
    """Return the newest current result of each earlier study of the patient, newest first.

    Withdrawn and superseded results are left out. The Patient ID must be equal, and so must be
    the issuer where both have one; a series without Patient ID or Study Date has none. The
    caller compares the rest of the identity: the record has neither name nor birth date.
    """
    series = session.get_one(Series, series_id)
    if not series.patient_id or series.study_date is None:
        return []
    newest_of_each_study = (
        _results()
        .with_only_columns(func.max(Screening.id), maintain_column_froms=True)
        .where(
            Series.patient_id == series.patient_id,
            _issuer_agrees(series.issuer_of_patient_id),
            Series.study_instance_uid != series.study_instance_uid,
            Series.study_date < series.study_date,
            is_current(),
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


def _issuer_agrees(issuer: str | None) -> ColumnElement[bool]:
    if issuer is None:
        return true()
    return Series.issuer_of_patient_id.is_(None) | (Series.issuer_of_patient_id == issuer)


def _results() -> "Select[Screening, Series, ResultObject]":
    """Select runs that ended with a report, with their series."""
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


def _hips(session: Session, screening_id: int) -> Sequence[HipResult]:
    return hips_of(session, [screening_id]).get(screening_id, [])
