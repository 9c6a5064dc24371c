"""Withdrawal of results: the record, and the delivery of the rejection note (IHE IOCM).

A destination gets the note of a result if it may hold an object of it. The note of a replaced
result waits until that destination has the new objects. Objects that were not sent yet are not
sent any more; a delivery in progress ends first, and the note follows it (``db/notes.py``).
The lock order is delivery, study, series.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, exists, insert, select, update
from sqlalchemy.orm import Session

from db.deliveries import lock_result, mark_delivered, undo_delivered
from db.models import Delivery, ResultObject, Screening, Study
from db.notes import release_all_notes, stop_sending, wait_for
from db.result_objects import NewObject
from db.states import OWED, DeliveryState, WithdrawalReason
from db.transition import ChangedBy, append_event, append_study_event


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A result to withdraw. ``note`` : its rejection note, which is already durable."""

    screening_id: int
    reason: WithdrawalReason
    note: NewObject


def lock_deliveries(session: Session, withdrawals: Iterable[Withdrawal]) -> None:
    """Lock the deliveries of results before their study or series is locked."""
    ids = [one.screening_id for one in withdrawals]
    session.execute(_deliveries(Delivery.screening_id.in_(ids)))


def withdraw_all(
    session: Session,
    withdrawals: Iterable[Withdrawal],
    by: ChangedBy,
    *,
    replaced_by: int | None = None,
) -> None:
    """Withdraw results as ``withdraw`` does."""
    for one in withdrawals:
        withdraw(session, one, by, replaced_by=replaced_by)


def withdraw(
    session: Session, withdrawal: Withdrawal, by: ChangedBy, *, replaced_by: int | None = None
) -> tuple[str, ...] | None:
    """Withdraw a result; return the destinations of its note, None if it was withdrawn before.

    ``replaced_by`` : the run with the new result, whose deliveries are already inserted.
    """
    screening_id = withdrawal.screening_id
    of_run = Delivery.screening_id == screening_id
    deliveries = session.scalars(_deliveries(of_run)).all()
    run, series = lock_result(session, screening_id)
    if not _mark_withdrawn(session, withdrawal, by, replaced_by):
        return None
    destinations = _holders(deliveries)
    stop_sending(session, of_run, Delivery.lease_until.is_(None))
    waits_for = replaced_by if withdrawal.reason is WithdrawalReason.REPLACED else None
    _insert_note(session, withdrawal, destinations, waits_for, by.at)
    if waits_for is None:
        release_all_notes(session, screening_id, now=by.at)
    else:
        wait_for(session, screening_id, waits_for, now=by.at)
    detail = {
        "reason": withdrawal.reason,
        "screening_id": screening_id,
        "destinations": destinations,
    }
    append_event(session, series, by, "withdrawn", detail=detail)
    if run.study_id is not None:
        study = session.get_one(Study, run.study_id)
        append_study_event(session, study, by, "withdrawn", detail=detail)
    if destinations:
        undo_delivered(session, series, run, by)
    mark_delivered(session, series, run, by)
    return tuple(destinations)


def _mark_withdrawn(
    session: Session, withdrawal: Withdrawal, by: ChangedBy, replaced_by: int | None
) -> bool:
    marked = session.scalars(
        update(Screening)
        .where(Screening.id == withdrawal.screening_id, Screening.withdrawn_at.is_(None))
        .values(
            withdrawn_at=by.at,
            withdrawn_by=by.actor,
            withdrawal_reason=withdrawal.reason,
            replaced_by=replaced_by,
        )
        .returning(Screening.id)
    ).one_or_none()
    return marked is not None


def _deliveries(*conditions: ColumnElement[bool]) -> "Select[Delivery]":
    return (
        select(Delivery)
        .where(*conditions)
        .order_by(Delivery.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _holders(deliveries: Sequence[Delivery]) -> list[str]:
    """Return the destinations that may hold an object, or are just being sent one."""
    return sorted(
        {one.destination for one in deliveries if one.may_hold or one.lease_until is not None}
    )


def _insert_note(
    session: Session,
    withdrawal: Withdrawal,
    destinations: Sequence[str],
    waits_for: int | None,
    now: datetime,
) -> None:
    run = {"screening_id": withdrawal.screening_id}
    object_id = session.scalars(
        insert(ResultObject).returning(ResultObject.id),
        [{**asdict(withdrawal.note), **run}],
    ).one()
    rows = [
        {
            **run,
            "object_id": object_id,
            "destination": destination,
            "state": DeliveryState.WAITING
            if _owes(session, waits_for, destination)
            else DeliveryState.DUE,
            "next_attempt_at": now,
        }
        for destination in destinations
    ]
    if rows:
        session.execute(insert(Delivery), rows)


def _owes(session: Session, screening_id: int | None, destination: str) -> bool:
    """Return whether a destination lacks an object of the new result."""
    if screening_id is None:
        return False
    of_run = Delivery.screening_id == screening_id, Delivery.destination == destination
    return bool(session.scalar(select(exists().where(*of_run, Delivery.state.in_(OWED)))))
