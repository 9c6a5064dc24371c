"""Withdrawals in the database of a test."""

from collections.abc import Mapping

from sqlalchemy import select

from db.models import Delivery, ResultObject
from db.result_objects import NewObject
from db.states import DeliveryState, WithdrawalReason
from db.transition import ChangedBy
from db.withdrawal import Withdrawal, withdraw
from tests.support.record import Sessions, after

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"


def withdrawal(
    screening_id: int, reason: WithdrawalReason = WithdrawalReason.OPERATOR
) -> Withdrawal:
    """Return the withdrawal of a result, whose note need not exist."""
    note = NewObject("ko", KEY_OBJECT_SELECTION, f"2.25.8{screening_id}", "2.25.9", "ko.dcm")
    return Withdrawal(screening_id, reason, note)


def withdraw_now(
    sessions: Sessions,
    screening_id: int,
    reason: WithdrawalReason = WithdrawalReason.OPERATOR,
    *,
    at: float = 10,
) -> tuple[str, ...] | None:
    """Withdraw a result in its own transaction; return the destinations of its note."""
    with sessions.begin() as session:
        by = ChangedBy("operator", after(at))
        return withdraw(session, withdrawal(screening_id, reason), by)


def delivery_states(
    sessions: Sessions, screening_id: int
) -> Mapping[tuple[str, str], DeliveryState]:
    """Return the state of each delivery of a result by destination and role."""
    with sessions() as session:
        rows = session.execute(
            select(Delivery.destination, ResultObject.role, Delivery.state)
            .join(ResultObject, ResultObject.id == Delivery.object_id)
            .where(Delivery.screening_id == screening_id)
        )
        return {(destination, role): state for destination, role, state in rows}
