"""Deliveries: find due ones, claim them for a worker, and mark a result as delivered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from sqlalchemy import ColumnElement, exists, func, or_, select, tuple_, union_all, update
from sqlalchemy.orm import Session

from db.clock_skew import LONGEST_LEASE, LONGEST_RETRY_AFTER, is_due, is_past
from db.models import Delivery, ObjectRole, ResultObject, Screening, Series, Study
from db.notes import must_wait
from db.pauses import holding_back
from db.states import UNFINISHED, DeliveryState, RunOutcome, SeriesState, StudyState
from db.transition import ChangedBy, Transition, move_all, move_series, move_study

MAX_OBJECTS_PER_TASK = len(get_args(ObjectRole))
SERIES_DELIVERED = Transition(SeriesState.SCREENED, SeriesState.DELIVERED)
SERIES_NOT_DELIVERED = Transition(SeriesState.DELIVERED, SeriesState.SCREENED)


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """Arguments of a task: the due objects of a screening for a destination."""

    screening_id: int
    destination: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of a worker to send an object to a destination now."""

    delivery_id: int
    screening_id: int
    series_id: int
    destination: str
    attempt: int
    leased_by: str
    role: str
    sop_class_uid: str
    sop_instance_uid: str
    path: str
    correlation_id: str | None


def due_deliveries(session: Session, *, now: datetime, limit: int) -> list[DueDelivery]:
    """Return deliveries that are due and not claimed, the longest waiting first."""
    # This many rows contain ``limit`` tasks, whatever the length of the backlog.
    first = (
        select(Delivery.screening_id, Delivery.destination, Delivery.next_attempt_at)
        .where(*_is_due(now))
        .order_by(Delivery.next_attempt_at)
        .limit(limit * MAX_OBJECTS_PER_TASK)
        .subquery()
        .c
    )
    rows = session.execute(
        select(first.screening_id, first.destination)
        .group_by(first.screening_id, first.destination)
        .order_by(func.min(first.next_attempt_at), first.screening_id)
        .limit(limit)
    )
    return [DueDelivery(screening_id, destination) for screening_id, destination in rows]


def claim_deliveries(
    session: Session,
    due: DueDelivery,
    *,
    leased_by: str,
    now: datetime,
    lease_seconds: float,
    transaction_uid: str | None = None,
) -> tuple[Claim, ...]:
    """Claim the due objects of a screening for a destination; empty if none is due now.

    Counts the attempt: commit before sending. Two workers never claim the same object.
    ``transaction_uid`` identifies a later report of Storage Commitment.
    The rejection note of a withdrawn result waits for its deliveries in progress.
    """
    if must_wait(session, due.screening_id, due.destination, now=now):
        return ()
    claimed = session.execute(
        update(Delivery)
        .where(
            Delivery.id.in_(
                select(Delivery.id)
                .where(
                    Delivery.screening_id == due.screening_id,
                    Delivery.destination == due.destination,
                    *_is_due(now),
                )
                .with_for_update(skip_locked=True)
            )
        )
        .values(
            attempts=Delivery.attempts + 1,
            leased_by=leased_by,
            lease_until=now + timedelta(seconds=lease_seconds),
            transaction_uid=transaction_uid,
        )
        .returning(Delivery.id)
    )
    return _read_claims(session, claimed.scalars().all(), leased_by)


def extend_claims(
    session: Session, claims: Sequence[Claim], *, now: datetime, lease_seconds: float
) -> None:
    """Extend the claims that are still held."""
    session.execute(
        update(Delivery)
        .where(
            tuple_(Delivery.id, Delivery.attempts).in_(
                [(claim.delivery_id, claim.attempt) for claim in claims]
            ),
            Delivery.lease_until.is_not(None),
        )
        .values(lease_until=now + timedelta(seconds=lease_seconds))
    )


def lock_result(session: Session, screening_id: int) -> tuple[Screening, Series]:
    """Return a run and its series, with the study locked if it has the result, and the series.

    Call it after the update of a delivery.
    """
    run = session.get_one(Screening, screening_id)
    if run.study_id is not None:
        session.execute(select(Study.id).where(Study.id == run.study_id).with_for_update())
    series = session.scalars(
        select(Series)
        .where(Series.id == run.series_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    return run, series


def mark_delivered(session: Session, series: Series, run: Screening, by: ChangedBy) -> None:
    """Move a screened series or its study to delivered if it owes no delivery.

    Objects of its newest result and rejection notes of withdrawn ones count. A result that the
    screening policy withholds is not delivered. The caller must hold the locks of
    ``lock_result``.
    """
    same = Screening.series_id == series.id
    if run.study_id is not None:
        same = Screening.study_id == run.study_id
    newest = select(func.max(Screening.id)).where(
        same, Screening.outcome == RunOutcome.SCREENED
    )
    withheld = Screening.id.in_(newest), Screening.not_delivered_code.is_not(None)
    if session.scalar(select(exists().where(*withheld))):
        return
    withdrawn = select(Screening.id).where(same, Screening.withdrawn_at.is_not(None))
    of_runs = Delivery.screening_id.in_(union_all(newest, withdrawn))
    if session.scalar(select(exists().where(of_runs, Delivery.state.in_(UNFINISHED)))):
        return
    if run.study_id is not None:
        move_study_to_delivered(session, run.study_id, by)
    elif series.state is SeriesState.SCREENED:
        move_to_delivered(session, series.id, by)


def move_study_to_delivered(session: Session, study_id: int, by: ChangedBy) -> None:
    """Move a reported study and its screened series to delivered."""
    delivered = Transition(StudyState.REPORTED, StudyState.DELIVERED)
    if move_study(session, Study.id == study_id, delivered, by) is not None:
        move_all(session, study_id, SERIES_DELIVERED, by)


def undo_delivered(session: Session, series: Series, run: Screening, by: ChangedBy) -> None:
    """Move a delivered series or its study back: a destination lacks an object of the run.

    The caller must hold the locks of ``lock_result``.
    """
    if run.study_id is None:
        move_series(session, Series.id == series.id, SERIES_NOT_DELIVERED, by)
        return
    undone = Transition(StudyState.DELIVERED, StudyState.REPORTED)
    if move_study(session, Study.id == run.study_id, undone, by) is not None:
        move_all(session, run.study_id, SERIES_NOT_DELIVERED, by)


def move_to_delivered(session: Session, series_id: int, by: ChangedBy) -> None:
    """Move a screened series to delivered."""
    move_series(session, Series.id == series_id, SERIES_DELIVERED, by)


def _read_claims(
    session: Session, delivery_ids: Sequence[int], leased_by: str
) -> tuple[Claim, ...]:
    rows = session.execute(
        select(Delivery, ResultObject, Screening.series_id, Screening.correlation_id)
        .join(ResultObject, ResultObject.id == Delivery.object_id)
        .join(Screening, Screening.id == ResultObject.screening_id)
        .where(Delivery.id.in_(delivery_ids))
        .order_by(ResultObject.id)
        .execution_options(populate_existing=True)
    )
    return tuple(
        Claim(
            delivery_id=delivery.id,
            screening_id=delivery.screening_id,
            series_id=series_id,
            destination=delivery.destination,
            attempt=delivery.attempts,
            leased_by=leased_by,
            role=result_object.role,
            sop_class_uid=result_object.sop_class_uid,
            sop_instance_uid=result_object.sop_instance_uid,
            path=result_object.path,
            correlation_id=correlation_id,
        )
        for delivery, result_object, series_id, correlation_id in rows
    )


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Delivery.state == DeliveryState.DUE,
        is_due(Delivery.next_attempt_at, Delivery.attempts, now, longest=LONGEST_RETRY_AFTER),
        or_(
            Delivery.lease_until.is_(None),
            is_past(Delivery.lease_until, now, longest=LONGEST_LEASE),
        ),
        Delivery.destination.not_in(holding_back(now)),
    )
