"""Which deliveries are due, and which worker may send them now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from db.due import LONGEST_LEASE, LONGEST_RETRY_AFTER, is_due, is_past
from db.models import Delivery, ResultObject, Screening
from db.pause import open_pauses
from db.states import DeliveryState

OBJECTS_A_TASK = 3  # SR, SC and parametric map


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """One task's worth: the due objects of a screening for one destination."""

    screening_id: int
    destination: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One object that this worker may send now."""

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
    """What may be sent now and nobody is sending, the longest waiting first."""
    # So many rows hold so many tasks, however long the backlog behind them is.
    first = (
        select(Delivery.screening_id, Delivery.destination, Delivery.next_attempt_at)
        .where(*_is_due(now))
        .order_by(Delivery.next_attempt_at)
        .limit(limit * OBJECTS_A_TASK)
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
    screening_id: int,
    destination: str,
    *,
    leased_by: str,
    now: datetime,
    lease_seconds: float,
    transaction_uid: str | None = None,
) -> tuple[Claim, ...]:
    """Take the due objects of a screening for one destination; empty when there are none.

    Counts the attempt: commit before sending. Two workers never hold the same object.
    ``transaction_uid`` : by which the destination may report Storage Commitment later.
    """
    claimed = session.execute(
        update(Delivery)
        .where(
            Delivery.id.in_(
                select(Delivery.id)
                .where(
                    Delivery.screening_id == screening_id,
                    Delivery.destination == destination,
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
        .returning(Delivery.id, Delivery.object_id, Delivery.attempts)
    ).all()
    attempts = {object_id: (delivery_id, count) for delivery_id, object_id, count in claimed}
    rows = session.execute(
        select(ResultObject, Screening.series_id, Screening.correlation_id)
        .join(Screening, Screening.id == ResultObject.screening_id)
        .where(ResultObject.id.in_(attempts))
        .order_by(ResultObject.id)
    )
    return tuple(
        Claim(
            delivery_id=attempts[one.id][0],
            screening_id=screening_id,
            series_id=series_id,
            destination=destination,
            attempt=attempts[one.id][1],
            leased_by=leased_by,
            role=one.role,
            sop_class_uid=one.sop_class_uid,
            sop_instance_uid=one.sop_instance_uid,
            path=one.path,
            correlation_id=correlation_id,
        )
        for one, series_id, correlation_id in rows
    )


def extend_claims(
    session: Session, claims: Sequence[Claim], *, now: datetime, lease_seconds: float
) -> None:
    """Extend the claims that nobody has taken over and nothing has ended."""
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


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Delivery.state == DeliveryState.DUE,
        is_due(Delivery.next_attempt_at, Delivery.attempts, now, longest=LONGEST_RETRY_AFTER),
        or_(
            Delivery.lease_until.is_(None),
            is_past(Delivery.lease_until, now, longest=LONGEST_LEASE),
        ),
        Delivery.destination.not_in(open_pauses()),
    )
