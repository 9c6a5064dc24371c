"""How things stand now: what ``status``, the sweep and the review page count.

What waits, runs or went wrong is counted whole; what has ended well, over the last day. So a
look costs what there is to do, and not what was ever done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import Session

from db.models import Delivery, Pause, Series
from db.pause import paused
from db.states import DeliveryState, SeriesState

ENDED_WINDOW = timedelta(hours=24)
ENDED = (SeriesState.DELIVERED, SeriesState.REJECTED)
OPEN = tuple(state for state in SeriesState if state not in ENDED)
ACCEPTED = (DeliveryState.SENT, DeliveryState.CONFIRMED)
OWED = tuple(state for state in DeliveryState if state not in ACCEPTED)


@dataclass(frozen=True, slots=True)
class Standing:
    """What ``status`` prints; ``ended_since`` : from when on what has ended is counted."""

    ended_since: datetime
    series: Mapping[SeriesState, int]
    deliveries: Mapping[tuple[str, DeliveryState], int]
    oldest_waiting: datetime | None
    recent: Sequence[Series]
    paused: Sequence[Pause]


def standing(session: Session, *, now: datetime, limit: int) -> Standing:
    """How things stand; ``limit`` : how many of the series that changed last are listed."""
    return Standing(
        ended_since=now - ENDED_WINDOW,
        series=count_series(session, now=now),
        deliveries=count_deliveries(session, now=now),
        oldest_waiting=oldest_waiting(session),
        recent=recent_series(session, limit=limit),
        paused=paused(session),
    )


def count_series(session: Session, *, now: datetime) -> dict[SeriesState, int]:
    """How many series are in each state; delivered and rejected ones of the last 24 hours.

    Every state is a key.
    """
    by_state = select(Series.state, func.count()).group_by(Series.state)
    rows = session.execute(
        union_all(
            by_state.where(Series.state.in_(OPEN)),
            by_state.where(Series.state.in_(ENDED), Series.changed_at >= now - ENDED_WINDOW),
        )
    )
    counted = {state: count for state, count in rows}
    return {state: counted.get(state, 0) for state in SeriesState}


def count_deliveries(
    session: Session, *, now: datetime
) -> dict[tuple[str, DeliveryState], int]:
    """How many objects stand where, by destination and state; what was sent in 24 hours."""
    named = (Delivery.destination, Delivery.state)
    by_state = select(*named, func.count()).group_by(*named)
    rows = session.execute(
        union_all(
            by_state.where(Delivery.state.in_(OWED)),
            by_state.where(
                Delivery.destination.in_(list_destinations(session)),
                Delivery.state.in_(ACCEPTED),
                Delivery.sent_at >= now - ENDED_WINDOW,
            ),
        )
    )
    return {(destination, state): count for destination, state, count in rows}


def list_destinations(session: Session) -> list[str]:
    """Every destination that anything was ever owed to: one look into an index each."""
    names: list[str] = []
    first = select(func.min(Delivery.destination))
    name = session.scalar(first)
    while name is not None:
        names.append(name)
        name = session.scalar(first.where(Delivery.destination > name))
    return names


def oldest_waiting(session: Session) -> datetime | None:
    """When the longest waiting queued series was judged complete."""
    return session.scalar(
        select(func.min(Series.completed_at)).where(Series.state == SeriesState.QUEUED)
    )


def recent_series(session: Session, *, limit: int) -> Sequence[Series]:
    """The series that changed last, newest first."""
    return session.scalars(
        select(Series).order_by(Series.changed_at.desc(), Series.id.desc()).limit(limit)
    ).all()
