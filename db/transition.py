"""Transitions of series and studies: checked, conditional, recorded as an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, insert, update
from sqlalchemy.orm import Session

from db.models import Event, Series, Study, StudyEvent
from db.states import SeriesState, StudyState, check_study_transition, check_transition


@dataclass(frozen=True, slots=True)
class ChangedBy:
    """Actor and time of a change."""

    actor: str
    at: datetime


def move_series(
    session: Session,
    series_id: int,
    before: SeriesState,
    after: SeriesState,
    by: ChangedBy,
    *,
    where: tuple[ColumnElement[bool], ...] = (),
    values: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Series | None:
    """Move a series that is in ``before`` and meets ``where``, and append the event.

    Returns the changed row, or None if another process moved the series first: the loser of a
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


def move_all(
    session: Session,
    study_id: int,
    before: SeriesState,
    after: SeriesState,
    by: ChangedBy,
) -> None:
    """Move every series of a study that is in ``before``, and append the events."""
    moved = session.scalars(
        update(Series)
        .where(Series.study_id == study_id, Series.state == before)
        .values(state=after, changed_at=by.at)
        .returning(Series)
        .execution_options(populate_existing=True)
    ).all()
    for series in moved:
        append_event(session, series, by, "moved", before=before, after=after)


def append_event(
    session: Session,
    series: Series,
    by: ChangedBy,
    what: str,
    *,
    before: SeriesState | None = None,
    after: SeriesState | None = None,
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
            before=before,
            after=after,
            detail=dict(detail or {}),
        )
    )


def move_study(
    session: Session,
    study_id: int,
    before: StudyState,
    after: StudyState,
    by: ChangedBy,
    *,
    where: tuple[ColumnElement[bool], ...] = (),
    values: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Study | None:
    """Move a study as ``move_series`` moves a series."""
    check_study_transition(before, after)
    moved = session.scalars(
        update(Study)
        .where(Study.id == study_id, Study.state == before, *where)
        .values(state=after, changed_at=by.at, **(values or {}))
        .returning(Study)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if moved is not None:
        append_study_event(
            session, moved, by, "moved", before=before, after=after, detail=detail
        )
    return moved


def append_study_event(
    session: Session,
    study: Study,
    by: ChangedBy,
    what: str,
    *,
    before: StudyState | None = None,
    after: StudyState | None = None,
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
            before=before,
            after=after,
            detail=dict(detail or {}),
        )
    )
