"""Counts of series and deliveries by state, for ``status``, the sweep and the review page.

Waiting, active and failed ones are all counted; successful ones only over the last 24 hours.
The cost of a query therefore depends on the current work and not on the size of the tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import Session

from db.held import HeldContent, held_content
from db.models import Delivery, Pause, Screening, Series, Study
from db.pauses import paused
from db.states import (
    ACCEPTED,
    UNFINISHED,
    DeliveryState,
    SeriesState,
    StudyState,
    WithdrawalReason,
)

ENDED_WINDOW = timedelta(hours=24)
ENDED = (SeriesState.DELIVERED, SeriesState.REJECTED, SeriesState.NOT_SELECTED)
OPEN = tuple(state for state in SeriesState if state not in ENDED)
STUDY_ENDED = (StudyState.DELIVERED, StudyState.NOTHING_TO_REPORT)
STUDY_OPEN = tuple(state for state in StudyState if state not in STUDY_ENDED)


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Output of ``status``; ``ended_since`` is the start of the 24-hour window.

    ``held`` : changed content from other senders that waits for a decision.
    """

    ended_since: datetime
    series: Mapping[SeriesState, int]
    studies: Mapping[StudyState, int]
    deliveries: Mapping[tuple[str, DeliveryState], int]
    oldest_waiting: datetime | None
    recent: Sequence[Series]
    paused: Sequence[Pause]
    withdrawn: Mapping[WithdrawalReason, int]
    held: Sequence[HeldContent]


@dataclass(frozen=True, slots=True)
class OpenWork:
    """Number of series, studies or objects in a state, and since when the first is in it."""

    kind: Literal["series", "study", "object"]
    state: str
    count: int
    since: datetime | None


def queue_status(session: Session, *, now: datetime, limit: int) -> QueueStatus:
    """Return the status with the ``limit`` most recently changed series."""
    return QueueStatus(
        ended_since=now - ENDED_WINDOW,
        series=count_series(session, now=now),
        studies=count_studies(session, now=now),
        deliveries=count_deliveries(session, now=now),
        oldest_waiting=oldest_waiting(session),
        recent=recent_series(session, limit=limit),
        paused=paused(session),
        withdrawn=count_withdrawn(session, now=now),
        held=held_content(session),
    )


def count_series(session: Session, *, now: datetime) -> dict[SeriesState, int]:
    """Return the number of series in each state; every state is a key.

    Delivered, rejected and not selected series are counted over the last 24 hours.
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


def count_studies(session: Session, *, now: datetime) -> dict[StudyState, int]:
    """Return the number of studies with one result in each state, counted like the series."""
    by_state = select(Study.state, func.count()).group_by(Study.state)
    rows = session.execute(
        union_all(
            by_state.where(Study.state.in_(STUDY_OPEN)),
            by_state.where(
                Study.state.in_(STUDY_ENDED), Study.changed_at >= now - ENDED_WINDOW
            ),
        )
    )
    counted = {state: count for state, count in rows}
    return {state: counted.get(state, 0) for state in StudyState}


def count_deliveries(
    session: Session, *, now: datetime
) -> dict[tuple[str, DeliveryState], int]:
    """Return the number of deliveries by destination and state; accepted ones of 24 hours."""
    key = (Delivery.destination, Delivery.state)
    by_state = select(*key, func.count()).group_by(*key)
    rows = session.execute(
        union_all(
            by_state.where(Delivery.state.in_(UNFINISHED)),
            by_state.where(
                Delivery.destination.in_(list_destinations(session)),
                Delivery.state.in_(ACCEPTED),
                Delivery.sent_at >= now - ENDED_WINDOW,
            ),
        )
    )
    return {(destination, state): count for destination, state, count in rows}


def count_withdrawn(session: Session, *, now: datetime) -> dict[WithdrawalReason, int]:
    """Return the number of results withdrawn in the last 24 hours, by reason."""
    rows = session.execute(
        select(Screening.withdrawal_reason, func.count())
        .where(Screening.withdrawn_at >= now - ENDED_WINDOW)
        .group_by(Screening.withdrawal_reason)
    )
    return {reason: count for reason, count in rows if reason is not None}


def list_destinations(session: Session) -> list[str]:
    """Return the names of all destinations with deliveries, by one index look-up each."""
    names: list[str] = []
    first = select(func.min(Delivery.destination))
    name = session.scalar(first)
    while name is not None:
        names.append(name)
        name = session.scalar(first.where(Delivery.destination > name))
    return names


def oldest_waiting(session: Session) -> datetime | None:
    """Return the completion time of the longest waiting series or study."""
    series = select(func.min(Series.completed_at)).where(
        Series.state == SeriesState.QUEUED, Series.next_attempt_at.is_not(None)
    )
    studies = select(func.min(Study.completed_at)).where(
        Study.state == StudyState.SCREENING, Study.next_attempt_at.is_not(None)
    )
    return session.scalar(
        select(func.least(series.scalar_subquery(), studies.scalar_subquery()))
    )


def open_work(session: Session) -> list[OpenWork]:
    """Return the work that is not finished, by state; every open state is listed."""
    series = select(Series.state, func.count(), func.min(Series.changed_at)).where(
        Series.state.in_(OPEN)
    )
    studies = select(Study.state, func.count(), func.min(Study.changed_at)).where(
        Study.state.in_(STUDY_OPEN)
    )
    objects = select(Delivery.state, func.count()).where(Delivery.state.in_(UNFINISHED))
    of_series = _by_state(session.execute(series.group_by(Series.state)))
    of_studies = _by_state(session.execute(studies.group_by(Study.state)))
    of_objects = _by_state(session.execute(objects.group_by(Delivery.state)))
    return [
        *(OpenWork("series", one, *of_series.get(one, (0, None))) for one in OPEN),
        *(OpenWork("study", one, *of_studies.get(one, (0, None))) for one in STUDY_OPEN),
        *(OpenWork("object", one, *of_objects.get(one, (0, None))) for one in UNFINISHED),
    ]


def _by_state(rows: Iterable[Any]) -> dict[str, tuple[int, datetime | None]]:
    """Return count and time by state; deliveries have no time."""
    return {state: (count, since[0] if since else None) for state, count, *since in rows}


def recent_series(session: Session, *, limit: int) -> Sequence[Series]:
    """Return the most recently changed series, newest first."""
    return session.scalars(
        select(Series).order_by(Series.changed_at.desc(), Series.id.desc()).limit(limit)
    ).all()
