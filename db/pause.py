"""Destinations that nothing is sent to, by an operator's order; who gave it, and when."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Delivery, Pause
from db.states import DeliveryState


def pause(session: Session, destination: str, *, actor: str, now: datetime) -> bool:
    """Send nothing to a destination from now on; False when it is paused already.

    What is being sent at the moment comes to its end.
    """
    inserted = session.scalars(
        insert(Pause)
        .values(destination=destination, paused_at=now, paused_by=actor)
        .on_conflict_do_nothing(
            index_elements=["destination"], index_where=Pause.resumed_at.is_(None)
        )
        .returning(Pause.id)
    ).one_or_none()
    return inserted is not None


def resume(session: Session, destination: str, *, actor: str, now: datetime) -> bool:
    """Send again, what waits at once; False when it is not paused."""
    resumed = session.scalars(
        update(Pause)
        .where(Pause.destination == destination, Pause.resumed_at.is_(None))
        .values(resumed_at=now, resumed_by=actor)
        .returning(Pause.id)
    ).one_or_none()
    if resumed is None:
        return False
    session.execute(
        update(Delivery)
        .where(
            Delivery.destination == destination,
            Delivery.state == DeliveryState.DUE,
            Delivery.lease_until.is_(None),
        )
        .values(next_attempt_at=now)
    )
    return True


def paused(session: Session) -> Sequence[Pause]:
    """The pauses that are open, by destination."""
    return session.scalars(
        select(Pause).where(Pause.resumed_at.is_(None)).order_by(Pause.destination)
    ).all()


def open_pauses() -> Select[Any]:
    """The names of paused destinations, as a subquery."""
    return select(Pause.destination).where(Pause.resumed_at.is_(None))
