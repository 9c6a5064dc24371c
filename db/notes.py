"""Deliveries of rejection notes: they follow what they reject, and what replaces it."""

from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, exists, select, update
from sqlalchemy.orm import Session, aliased

from db.clock_skew import LONGEST_LEASE, is_past
from db.models import NOTE, Delivery, ResultObject, Screening
from db.states import OWED, DeliveryState


def is_note() -> ColumnElement[bool]:
    """Return the condition that a delivery is that of a rejection note."""
    return exists().where(ResultObject.id == Delivery.object_id, ResultObject.role == NOTE)


def stop_sending(session: Session, *conditions: ColumnElement[bool]) -> None:
    """End open deliveries of withdrawn objects; rejection notes are kept."""
    session.execute(
        update(Delivery)
        .where(Delivery.state.in_(OWED), ~is_note(), *conditions)
        .values(state=DeliveryState.WITHDRAWN, leased_by=None, lease_until=None)
        .execution_options(synchronize_session=False)
    )


def must_wait(session: Session, screening_id: int, destination: str, *, now: datetime) -> bool:
    """Return whether the note of a withdrawn result must wait for a delivery in progress.

    Its other deliveries to the destination end without being sent. False for a result that
    stands.
    """
    withdrawn = select(Screening.withdrawn_at).where(Screening.id == screening_id)
    if session.scalar(withdrawn) is None:
        return False
    of_run = Delivery.screening_id == screening_id, Delivery.destination == destination
    expired = is_past(Delivery.lease_until, now, longest=LONGEST_LEASE)
    stop_sending(session, *of_run, Delivery.lease_until.is_(None) | expired)
    in_progress = exists().where(*of_run, Delivery.state == DeliveryState.DUE, ~is_note())
    return bool(session.scalar(select(in_progress)))


def release_notes(session: Session, replaced_by: int, *, now: datetime) -> None:
    """Make the notes due that waited for a result, at each destination that has it."""
    new = aliased(Delivery)
    of_destination = and_(
        new.screening_id == replaced_by,
        new.destination == Delivery.destination,
        new.state.in_(OWED),
    )
    _make_due(session, replaced_by, now, ~exists().where(of_destination))


def release_all_notes(session: Session, replaced_by: int, *, now: datetime) -> None:
    """Make all notes due that waited for a result: it is withdrawn, too."""
    _make_due(session, replaced_by, now)


def wait_for(session: Session, replaced_by: int, newer: int, *, now: datetime) -> None:
    """Let the notes that wait for a result wait for the newer one that replaces it."""
    runs = select(Delivery.screening_id).where(
        Delivery.screening_id.in_(_replaced(replaced_by)),
        Delivery.state == DeliveryState.WAITING,
    )
    session.execute(
        update(Screening)
        .where(Screening.id.in_(runs))
        .values(replaced_by=newer)
        .execution_options(synchronize_session=False)
    )
    release_notes(session, newer, now=now)


def _make_due(
    session: Session, replaced_by: int, now: datetime, *conditions: ColumnElement[bool]
) -> None:
    session.execute(
        update(Delivery)
        .where(
            Delivery.screening_id.in_(_replaced(replaced_by)),
            Delivery.state == DeliveryState.WAITING,
            *conditions,
        )
        .values(state=DeliveryState.DUE, next_attempt_at=now)
        .execution_options(synchronize_session=False)
    )


def _replaced(replaced_by: int) -> "Select[int]":
    return select(Screening.id).where(Screening.replaced_by == replaced_by)
