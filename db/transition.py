"""Transitions of series and studies: checked, conditional, recorded as an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, insert, update
from sqlalchemy.orm import Session

from db.models import Event, Series, Study, StudyEvent
from db.states import SeriesState, StudyState, check_study_transition, check_transition

State = TypeVar("State", SeriesState, StudyState)


@dataclass(frozen=True, slots=True)
class Transition(Generic[State]):
    """A change of state; ``before`` is None where the row is new."""

    before: State | None
    after: State


@dataclass(frozen=True, slots=True)
class ChangedBy:
    """Actor and time of a change."""

    actor: str
    at: datetime


def move_series(
    session: Session,
    which: ColumnElement[bool],
    transition: Transition[SeriesState],
    by: ChangedBy,
    *,
    values: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Series | None:
    """Move a series that is in the state before, and append the event.

    ``which`` : condition that one series meets at most, with its ID. Returns the changed row,
    or None if another process moved the series first: the loser of a race changes nothing.
    Raises IllegalTransition.
    """
    check_transition(transition.before, transition.after)
    moved = session.scalars(
        update(Series)
        .where(which, Series.state == transition.before)
        .values(state=transition.after, changed_at=by.at, **(values or {}))
        .returning(Series)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if moved is not None:
        append_event(session, moved, by, "moved", transition=transition, detail=detail)
    return moved


def move_all(
    session: Session,
    study_id: int,
    transition: Transition[SeriesState],
    by: ChangedBy,
) -> None:
    """Move every series of a study that is in the state before, and append the events."""
    moved = session.scalars(
        update(Series)
        .where(Series.study_id == study_id, Series.state == transition.before)
        .values(state=transition.after, changed_at=by.at)
        .returning(Series)
        .execution_options(populate_existing=True)
    ).all()
    for series in moved:
        append_event(session, series, by, "moved", transition=transition)


def append_event(
    session: Session,
    series: Series,
    by: ChangedBy,
    what: str,
    *,
    transition: Transition[SeriesState] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append an event; ``detail`` holds identifiers and technical values, no patient data."""
    session.execute(
        insert(Event).values(
            at=by.at,
            series_id=series.id,
            revision=series.revision,
            actor=by.actor,
            what=what,
            before=transition and transition.before,
            after=transition and transition.after,
            detail=dict(detail or {}),
        )
    )


def move_study(
    session: Session,
    which: ColumnElement[bool],
    transition: Transition[StudyState],
    by: ChangedBy,
    *,
    values: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Study | None:
    """Move a study as ``move_series`` moves a series."""
    check_study_transition(transition.before, transition.after)
    moved = session.scalars(
        update(Study)
        .where(which, Study.state == transition.before)
        .values(state=transition.after, changed_at=by.at, **(values or {}))
        .returning(Study)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if moved is not None:
        append_study_event(session, moved, by, "moved", transition=transition, detail=detail)
    return moved


def append_study_event(
    session: Session,
    study: Study,
    by: ChangedBy,
    what: str,
    *,
    transition: Transition[StudyState] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append an event of a study; ``detail`` as in ``append_event``."""
    session.execute(
        insert(StudyEvent).values(
            at=by.at,
            study_id=study.id,
            revision=study.revision,
            actor=by.actor,
            what=what,
            before=transition and transition.before,
            after=transition and transition.after,
            detail=dict(detail or {}),
        )
    )
