"""Retries by an operator: screen a series again, or deliver its results again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from db.deliveries import undo_delivered
from db.history import series_by_uid
from db.models import Delivery, Screening, Series, Study
from db.notes import is_note
from db.pauses import unblock
from db.results import newest_graded_result, newest_study_result
from db.states import OWED, DeliveryState, ResultPer, SeriesState, StudyState
from db.studies import is_due_study
from db.transition import (
    ChangedBy,
    Transition,
    append_event,
    append_study_event,
    move_all,
    move_series,
    move_study,
)
from db.withheld import release

SCREEN_AGAIN = (SeriesState.FAILED, SeriesState.REJECTED)
STUDY_AGAIN = (StudyState.FAILED, StudyState.NOTHING_TO_REPORT)
AGAIN = {"attempts": 0, "reason_code": None, "reason_text": None, "error": None}


@dataclass(frozen=True, slots=True)
class Retried:
    """``screening``: the series or study is due. ``deliveries``: number of due deliveries."""

    screening: bool
    deliveries: int


def may_screen_again(session: Session, series: Series) -> bool:
    """Return whether a retry would screen a series, or its study, again."""
    study = session.get_one(Study, series.study_id)
    if study.state is not None:
        return study.state in STUDY_AGAIN
    return series.state in SCREEN_AGAIN


def retry_series(
    session: Session,
    series_instance_uid: str,
    *,
    actor: str,
    now: datetime,
    destinations: Sequence[str] = (),
) -> Retried | None:
    """Queue a failed or rejected series, and make its open deliveries due now.

    Attempts start from 0. ``destinations`` : those to which a result goes that the screening
    policy did not deliver. Returns None if the UID is unknown.
    """
    series = series_by_uid(session, series_instance_uid)
    if series is None:
        return None
    return retry_one(session, series, actor=actor, now=now, destinations=destinations)


def retry_by_uid(
    session: Session,
    uid: str,
    *,
    actor: str,
    now: datetime,
    destinations: Sequence[str] = (),
) -> Retried | None:
    """Retry a series, or a study with one result; return None if the UID is unknown."""
    retried = retry_series(session, uid, actor=actor, now=now, destinations=destinations)
    if retried is not None:
        return retried
    study = session.scalars(
        select(Study).where(Study.study_instance_uid == uid, Study.state.is_not(None))
    ).one_or_none()
    if study is None:
        return None
    return retry_study(session, study, actor=actor, now=now, destinations=destinations)


def retry_one(
    session: Session,
    series: Series,
    *,
    actor: str,
    now: datetime,
    destinations: Sequence[str] = (),
) -> Retried:
    """Retry a series given by its row: two studies may use the same Series Instance UID.

    A series without a result of its own is retried with its study.
    """
    by = ChangedBy(actor, now)
    study = session.get_one(Study, series.study_id)
    if study.result_per is ResultPer.STUDY:
        return retry_study(session, study, actor=actor, now=now, destinations=destinations)
    moved = None
    if series.state in SCREEN_AGAIN:
        moved = move_series(
            session,
            Series.id == series.id,
            Transition(series.state, SeriesState.QUEUED),
            by,
            values={**AGAIN, "next_attempt_at": now},
            detail={"retry": True},
        )
    elif series.state is SeriesState.QUEUED:
        series.next_attempt_at = now
    newest = None
    if series.state is SeriesState.SCREENED:
        newest = session.scalars(newest_graded_result(series.id)).one_or_none()
    due = _deliver_now(session, Screening.series_id == series.id, now)
    due += release(session, newest, destinations, now=now)
    if due:
        append_event(session, series, by, "deliveries_retried", detail={"count": due})
    return Retried(screening=moved is not None, deliveries=due)


def retry_study(
    session: Session,
    study: Study,
    *,
    actor: str,
    now: datetime,
    destinations: Sequence[str] = (),
) -> Retried:
    """Make a study without a report due, and its open deliveries due now.

    Attempts at the study and at its failed series start from 0.
    """
    by = ChangedBy(actor, now)
    moved = None
    if study.state in STUDY_AGAIN:
        values = {**AGAIN, "next_attempt_at": now}
        moved = move_study(
            session,
            Study.id == study.id,
            Transition(study.state, StudyState.SCREENING),
            by,
            values=values,
            detail={"retry": True},
        )
        session.execute(update(Series).where(Series.study_id == study.id).values(attempts=0))
        due_again = Transition(SeriesState.FAILED, SeriesState.QUEUED)
        move_all(session, study.id, due_again, by)
    elif is_due_study(study):
        study.next_attempt_at = now
    newest = None
    if study.state is StudyState.REPORTED:
        newest = session.scalars(newest_study_result(study.id)).one_or_none()
    due = _deliver_now(session, Screening.study_id == study.id, now)
    due += release(session, newest, destinations, now=now)
    if due:
        append_study_event(session, study, by, "deliveries_retried", detail={"count": due})
    return Retried(screening=moved is not None, deliveries=due)


def _deliver_now(session: Session, of_runs: ColumnElement[bool], now: datetime) -> int:
    """Make the open deliveries of some runs due; return their number."""
    due = session.scalars(
        update(Delivery)
        .where(
            Delivery.screening_id.in_(select(Screening.id).where(of_runs)),
            Delivery.state.in_(OWED),
            Delivery.lease_until.is_(None),
        )
        .values(state=DeliveryState.DUE, attempts=0, next_attempt_at=now)
        .returning(Delivery.id)
    ).all()
    return len(due)


def retry_destination(session: Session, destination: str, *, actor: str, now: datetime) -> int:
    """Make everything due that a destination has refused or waits for; return the number.

    Ends the pause of a worker, but not that of an operator. Attempts start from 0.
    """
    unblock(session, destination, actor=actor, now=now)
    due = session.execute(
        update(Delivery)
        .where(
            Delivery.destination == destination,
            Delivery.state.in_(OWED),
            Delivery.lease_until.is_(None),
        )
        .values(state=DeliveryState.DUE, attempts=0, next_attempt_at=now)
        .returning(Delivery.screening_id)
    ).scalars()
    by, counts = ChangedBy(actor, now), Counter(due)
    runs = select(Series, Screening.id).join(Screening, Screening.series_id == Series.id)
    for series, screening_id in session.execute(runs.where(Screening.id.in_(counts))).all():
        detail = {"count": counts[screening_id], "destination": destination}
        append_event(session, series, by, "deliveries_retried", detail=detail)
    return counts.total()


def redeliver(session: Session, series: Series, *, actor: str, now: datetime) -> int:
    """Make the objects of the newest graded result due, even if they were accepted.

    Meant for a PACS that lost them. Returns the number of due deliveries; deliveries in
    progress are not changed.
    """
    run = session.scalars(newest_graded_result(series.id)).one_or_none()
    if run is None:
        return 0
    of_run = Delivery.screening_id == run.id
    if run.withdrawn_at is not None:  # only its rejection note may be sent
        of_run &= is_note() & (Delivery.state != DeliveryState.WAITING)
    due = session.scalars(
        update(Delivery)
        .where(of_run, Delivery.lease_until.is_(None))
        .values(
            state=DeliveryState.DUE,
            attempts=0,
            next_attempt_at=now,
            sent_at=None,
            confirmed_at=None,
            confirmed_by=None,
            transaction_uid=None,
            last_status=None,
            error=None,
        )
        .returning(Delivery.id)
    ).all()
    if not due:
        return 0
    by = ChangedBy(actor, now)
    undo_delivered(session, series, run, by)
    append_event(session, series, by, "deliveries_retried", detail={"count": len(due)})
    return len(due)
