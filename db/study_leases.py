"""Leases of studies: what ``db/leases.py`` needs to lease a study instead of a series.

Attempts are counted for the study and for each series that is screened, both before the work.
A series that ends its process ``MAX_ATTEMPTS`` times is skipped, and its attempts do not count
against the study.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from db.clock_skew import is_due
from db.models import Screening, Series, Study
from db.runs import StudyLease, start_run
from db.states import SeriesState, StudyState
from db.transition import ChangedBy, Transition, append_study_event, move_all, move_study

ARRIVING = (SeriesState.RECEIVING, SeriesState.QUEUED)


def due_studies(session: Session, *, now: datetime, limit: int) -> list[int]:
    """Return the IDs of due studies, the longest waiting first."""
    return list(
        session.scalars(
            select(Study.id)
            .where(Study.state == StudyState.SCREENING, _is_due(now))
            .order_by(Study.next_attempt_at, Study.id)
            .limit(limit)
        )
    )


def lease_study(
    session: Session, study_id: int, *, leased_by: str, now: datetime, lease_seconds: float
) -> StudyLease | None:
    """Lease a due study; return None if it is not due or another worker has it.

    Counts the attempt: commit before the run starts. The queued series of the study are taken
    into the run: they become *screening*.
    """
    study = session.scalars(
        update(Study)
        .where(Study.id == study_id, Study.state == StudyState.SCREENING, _is_due(now))
        .values(attempts=Study.attempts + 1, next_attempt_at=None, changed_at=now)
        .returning(Study)
        .execution_options(populate_existing=True)
    ).one_or_none()
    first = None if study is None else _first_series(session, study_id)
    if study is None or first is None:
        return None
    by = ChangedBy(leased_by, now)
    append_study_event(session, study, by, "leased", detail={"attempt": study.attempts})
    taken = Transition(SeriesState.QUEUED, SeriesState.SCREENING)
    move_all(session, study_id, taken, by)
    screening_id = start_run(
        session,
        first,
        study=study,
        leased_by=leased_by,
        now=now,
        lease_seconds=lease_seconds,
    )
    return _lease(screening_id, first.id, study, leased_by)


def lease_of(run: Screening, study: Study) -> StudyLease:
    """Return the lease of an active run over a study."""
    return _lease(run.id, run.series_id, study, run.leased_by)


def own_attempts(session: Session, lease: StudyLease) -> int:
    """Return the attempts that no series of the study accounts for."""
    of_series = session.scalar(
        select(func.coalesce(func.sum(Series.attempts), 0)).where(
            Series.study_id == lease.study_id
        )
    )
    return lease.attempt - int(of_series or 0)


def begin_series(session: Session, series_id: int) -> None:
    """Count an attempt at a series of a leased study: commit before its pixels are read."""
    _count_attempts(session, series_id, Series.attempts + 1)


def end_series(session: Session, series_id: int) -> None:
    """Forget the attempts at a series that was screened to the end."""
    _count_attempts(session, series_id, 0)


def release(
    session: Session,
    lease: StudyLease,
    by: ChangedBy,
    *,
    failed: bool,
    values: Mapping[str, Any],
    detail: Mapping[str, Any] | None,
) -> bool:
    """End the lease without a result; return False if the study is not being screened.

    The study is failed or due again. Where a series arrives or arrived during the run, it is
    collecting instead, and a series that is complete makes the attempts start from 0.
    """
    study = _lock_running(session, lease)
    if study is None:
        return False
    arriving, registered = _arriving(session, lease.study_id)
    after = SeriesState.FAILED if failed and not registered else SeriesState.QUEUED
    move_all(session, lease.study_id, Transition(SeriesState.SCREENING, after), by)
    if registered:
        values = {**values, "attempts": 0}
    if arriving:
        _move(
            session,
            study,
            StudyState.COLLECTING,
            by,
            {**values, "next_attempt_at": None},
            detail,
        )
    elif failed:
        _move(session, study, StudyState.FAILED, by, values, detail)
    else:
        session.execute(
            update(Study).where(Study.id == study.id).values(changed_at=by.at, **values)
        )
        append_study_event(session, study, by, "given_back", detail=detail)
    return True


def _move(
    session: Session,
    study: Study,
    after: StudyState,
    by: ChangedBy,
    values: Mapping[str, Any],
    detail: Mapping[str, Any] | None,
) -> None:
    transition = Transition(StudyState.SCREENING, after)
    move_study(session, Study.id == study.id, transition, by, values=values, detail=detail)


def _lock_running(session: Session, lease: StudyLease) -> Study | None:
    return session.scalars(
        select(Study)
        .where(
            Study.id == lease.study_id,
            Study.state == StudyState.SCREENING,
            Study.next_attempt_at.is_(None),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def _arriving(session: Session, study_id: int) -> tuple[bool, bool]:
    """Return whether a series arrives or was registered since the lease, and the latter."""
    states = set(
        session.scalars(
            select(Series.state).where(Series.study_id == study_id, Series.state.in_(ARRIVING))
        )
    )
    return bool(states), SeriesState.QUEUED in states


def _first_series(session: Session, study_id: int) -> Series | None:
    return session.scalars(
        select(Series)
        .where(Series.study_id == study_id, Series.revision > 0)
        .order_by(Series.id)
        .limit(1)
    ).one_or_none()


def _lease(screening_id: int, series_id: int, study: Study, leased_by: str) -> StudyLease:
    return StudyLease(
        screening_id=screening_id,
        study_id=study.id,
        series_id=series_id,
        study_instance_uid=study.study_instance_uid,
        revision=study.revision,
        attempt=study.attempts,
        leased_by=leased_by,
        correlation_id=study.correlation_id,
    )


def _count_attempts(
    session: Session, series_id: int, attempts: int | ColumnElement[int]
) -> None:
    session.execute(update(Series).where(Series.id == series_id).values(attempts=attempts))


def _is_due(now: datetime) -> ColumnElement[bool]:
    return Study.next_attempt_at.is_not(None) & is_due(
        Study.next_attempt_at, Study.attempts, now
    )
