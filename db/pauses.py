"""Pauses of deliveries to a destination.

An operator pauses and resumes a destination. A worker pauses one that accepts nothing
(``block``) until its next attempt, and resumes it when it has answered (``unblock``).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, not_, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.clock_skew import LONGEST_RETRY_AFTER, is_past
from db.models import Delivery, Pause
from db.states import DeliveryState

OPEN: dict[str, Any] = {
    "index_elements": ["destination"],
    "index_where": Pause.resumed_at.is_(None),
}
"""The unique index of open pauses."""


def pause(session: Session, destination: str, *, actor: str, now: datetime) -> bool:
    """Pause deliveries to a destination; return False if they are already paused.

    Deliveries in progress are completed.
    """
    new = insert(Pause).values(destination=destination, paused_at=now, paused_by=actor)
    paused_by_worker = Pause.retry_at.is_not(None)
    inserted = session.scalars(
        new.on_conflict_do_update(
            **OPEN,
            set_={"paused_by": actor, "paused_at": now, "cause": None, "retry_at": None},
            where=paused_by_worker,
        ).returning(Pause.id)
    ).one_or_none()
    return inserted is not None


def block(session: Session, destination: str, *, cause: str, actor: str, now: datetime) -> int:
    """Note that a destination accepts nothing; return the number of failures in a row.

    Call ``set_retry`` next, in the same transaction. A pause by an operator is not changed; the
    number is then 0.
    """
    new = insert(Pause).values(
        destination=destination,
        paused_at=now,
        paused_by=actor,
        cause=cause,
        retry_at=now,
        failures=1,
    )
    failures = session.scalars(
        new.on_conflict_do_update(
            **OPEN,
            set_={"cause": cause, "failures": Pause.failures + 1},
            where=Pause.retry_at.is_not(None),
        ).returning(Pause.failures)
    ).one_or_none()
    return failures or 0


def set_retry(session: Session, destination: str, *, retry_at: datetime) -> None:
    """Set the time of the next attempt at a destination that accepts nothing."""
    session.execute(
        update(Pause).where(*_open_by_worker(destination)).values(retry_at=retry_at)
    )


def unblock(session: Session, destination: str, *, actor: str, now: datetime) -> bool:
    """End the pause of a worker; waiting deliveries are due. Return False if there is none."""
    ended = session.scalars(
        update(Pause)
        .where(*_open_by_worker(destination))
        .values(resumed_at=now, resumed_by=actor)
        .returning(Pause.id)
    ).one_or_none()
    if ended is not None:
        _make_due(session, destination, now)
    return ended is not None


def resume(session: Session, destination: str, *, actor: str, now: datetime) -> bool:
    """Resume deliveries, waiting ones at once; return False if they are not paused."""
    resumed = session.scalars(
        update(Pause)
        .where(Pause.destination == destination, Pause.resumed_at.is_(None))
        .values(resumed_at=now, resumed_by=actor)
        .returning(Pause.id)
    ).one_or_none()
    if resumed is None:
        return False
    _make_due(session, destination, now)
    return True


def paused(session: Session) -> Sequence[Pause]:
    """Return the open pauses, sorted by destination."""
    return session.scalars(
        select(Pause).where(Pause.resumed_at.is_(None)).order_by(Pause.destination)
    ).all()


def holding_back(now: datetime) -> Select[Any]:
    """Select the names of destinations that get no delivery now."""
    return select(Pause.destination).where(
        Pause.resumed_at.is_(None),
        or_(
            Pause.retry_at.is_(None),
            not_(is_past(Pause.retry_at, now, longest=LONGEST_RETRY_AFTER)),
        ),
    )


def _open_by_worker(destination: str) -> tuple[ColumnElement[bool], ...]:
    return (
        Pause.destination == destination,
        Pause.resumed_at.is_(None),
        Pause.retry_at.is_not(None),
    )


def _make_due(session: Session, destination: str, now: datetime) -> None:
    session.execute(
        update(Delivery)
        .where(
            Delivery.destination == destination,
            Delivery.state == DeliveryState.DUE,
            Delivery.lease_until.is_(None),
        )
        .values(next_attempt_at=now)
    )
