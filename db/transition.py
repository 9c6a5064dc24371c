"""The one way to change the state of a series: checked, conditional, with an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, insert, update
from sqlalchemy.orm import Session

from db.models import Event, Series
from db.states import SeriesState, check_transition


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, and when."""

    actor: str
    at: datetime


def move_series(
    session: Session,
    series_id: int,
    before: SeriesState,
    after: SeriesState,
    by: By,
    *,
    where: tuple[ColumnElement[bool], ...] = (),
    values: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Series | None:
    """Move a series that is still in ``before`` (and fits ``where``) and append the event.

    Returns the row as it is now, or None when somebody else moved it first: the loser of a
    race changes nothing. Raises IllegalTransition.
    """
    check_transition(before, after)
    moved = session.scalars(
        update(Series)
        .where(Series.id == series_id, Series.state == before, *where)
        .values(state=after, changed_at=by.at, **(values or {}))
        .returning(Series)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if moved is not None:
        append_event(session, moved, by, "moved", before=before, after=after, detail=detail)
    return moved


def append_event(
    session: Session,
    series: Series,
    by: By,
    what: str,
    *,
    before: SeriesState | None = None,
    after: SeriesState | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append one event (identifiers and technical values only, no patient data)."""
    session.execute(
        insert(Event).values(
            at=by.at,
            series_id=series.id,
            revision=series.revision,
            actor=by.actor,
            what=what,
            before=before,
            after=after,
            detail=dict(detail or {}),
        )
    )
