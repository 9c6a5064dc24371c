"""Leases: the time-limited right of a worker to screen a series or a study.

An attempt is counted when the lease is granted, before the run, so that a series that kills its
process is not retried forever. The lock order is study, series, screening. Wall clocks of hosts
are not trusted (``db/clock_skew.py``, ``worker/lease_monitor.py``). What only studies need is
in ``db/study_leases.py``.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from db import study_leases
from db.clock_skew import is_due
from db.models import Series
from db.runs import (
    Lease,
    LeaseLost,
    StudyLease,
    active_leases,
    close_run,
    heartbeat,
    start_run,
)
from db.states import RunOutcome, SeriesState
from db.transition import ChangedBy, Transition, move_series

REASON = ("reason_code", "reason_text")

__all__ = [
    "Lease",
    "LeaseLost",
    "StudyLease",
    "active_leases",
    "due_series",
    "finish_failed",
    "finish_rejected",
    "finish_run",
    "give_back",
    "heartbeat",
    "is_exhausted",
    "lease_of",
    "lease_series",
    "release",
]


def due_series(session: Session, *, now: datetime, limit: int) -> list[int]:
    """Return the IDs of due series, the longest waiting first; not those of a study."""
    return list(
        session.scalars(
            select(Series.id)
            .where(Series.state == SeriesState.QUEUED, _is_due(now))
            .order_by(Series.next_attempt_at, Series.id)
            .limit(limit)
        )
    )


def lease_series(
    session: Session, series_id: int, *, leased_by: str, now: datetime, lease_seconds: float
) -> Lease | None:
    """Lease a due series; return None if it is not due or another worker has it.

    Counts the attempt: commit before the run starts.
    """
    series = move_series(
        session,
        (Series.id == series_id) & _is_due(now),
        Transition(SeriesState.QUEUED, SeriesState.SCREENING),
        ChangedBy(leased_by, now),
        values={"attempts": Series.attempts + 1},
    )
    if series is None:
        return None
    screening_id = start_run(
        session, series, leased_by=leased_by, now=now, lease_seconds=lease_seconds
    )
    return lease_of(screening_id, series, leased_by)


def give_back(session: Session, lease: Lease | StudyLease, *, now: datetime) -> None:
    """Return what is not screened because the worker stops; the attempt does not count."""
    _end_unfinished(
        session,
        lease,
        now=now,
        failed=False,
        values={"attempts": lease.attempt - 1, "next_attempt_at": now},
    )


def finish_rejected(
    session: Session,
    lease: Lease,
    *,
    reason_code: str,
    reason_text: str,
    now: datetime,
    run_values: Mapping[str, Any] | None = None,
) -> None:
    """End the run as rejected: the series cannot be graded.

    ``run_values`` holds further columns of Screening (``orientation``, ``timings_ms``,
    ``result``, ``model_name`` …). Raises LeaseLost.
    """
    reason = {"reason_code": reason_code, "reason_text": reason_text}
    finish_run(
        session,
        lease,
        RunOutcome.REJECTED,
        now=now,
        run_values={**(run_values or {}), **reason},
        detail={"reason_code": reason_code},
    )


def finish_failed(
    session: Session,
    lease: Lease | StudyLease,
    *,
    error: str,
    now: datetime,
    max_attempts: int,
    retry_after: timedelta,
) -> bool:
    """End the run as failed; make its series or study due after ``retry_after`` or fail it.

    ``error`` must not contain patient data. Returns whether no attempt is left; raises
    LeaseLost.
    """
    exhausted = is_exhausted(session, lease, max_attempts)
    _end_unfinished(
        session,
        lease,
        now=now,
        failed=exhausted,
        values={"error": error, "next_attempt_at": None if exhausted else now + retry_after},
    )
    return exhausted


def finish_run(
    session: Session,
    lease: Lease,
    outcome: Literal[RunOutcome.SCREENED, RunOutcome.REJECTED],
    *,
    now: datetime,
    run_values: Mapping[str, Any],
    detail: Mapping[str, Any],
) -> None:
    """End an active run and move its series to the state of the same name.

    ``run_values`` : columns of Screening; a reason among them is the reason of the series, too.
    Raises LeaseLost if the run is no longer active.
    """
    reason = {name: run_values[name] for name in REASON if name in run_values}
    series = move_series(
        session,
        _of_lease(lease),
        Transition(SeriesState.SCREENING, SeriesState(outcome)),
        ChangedBy(lease.leased_by, now),
        values={**reason, "next_attempt_at": None, "error": None},
        detail=detail,
    )
    if series is None:
        raise LeaseLost(lease.screening_id)
    close_run(session, lease.screening_id, outcome, now=now, **run_values)


def _end_unfinished(
    session: Session,
    lease: Lease | StudyLease,
    *,
    now: datetime,
    failed: bool,
    values: Mapping[str, Any],
) -> None:
    """End a run without a result, by an error where ``values`` names one.

    Raises LeaseLost if the run is no longer active.
    """
    by, error = ChangedBy(lease.leased_by, now), values.get("error")
    detail = {"error": error, "attempt": lease.attempt} if error else None
    if not release(session, lease, by, failed=failed, values=values, detail=detail):
        raise LeaseLost(lease.screening_id)
    outcome = RunOutcome.FAILED if error else RunOutcome.GIVEN_BACK
    close_run(session, lease.screening_id, outcome, now=now, error=error)


def release(
    session: Session,
    lease: Lease | StudyLease,
    by: ChangedBy,
    *,
    failed: bool,
    values: Mapping[str, Any],
    detail: Mapping[str, Any] | None,
) -> bool:
    """Fail what was leased or make it due; return False if it is not being screened."""
    if isinstance(lease, StudyLease):
        return study_leases.release(
            session, lease, by, failed=failed, values=values, detail=detail
        )
    moved = move_series(
        session,
        _of_lease(lease),
        Transition(SeriesState.SCREENING, SeriesState.FAILED if failed else SeriesState.QUEUED),
        by,
        values=values,
        detail=detail,
    )
    return moved is not None


def is_exhausted(session: Session, lease: Lease | StudyLease, max_attempts: int) -> bool:
    """Return whether no attempt is left."""
    if isinstance(lease, StudyLease):
        return study_leases.own_attempts(session, lease) >= max_attempts
    return lease.attempt >= max_attempts


def lease_of(screening_id: int, series: Series, leased_by: str) -> Lease:
    """Return the lease of an active run over a series."""
    return Lease(
        screening_id=screening_id,
        series_id=series.id,
        study_instance_uid=series.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        revision=series.revision,
        attempt=series.attempts,
        leased_by=leased_by,
        correlation_id=series.correlation_id,
        refused_count=series.refused_count,
        instance_count=series.instance_count,
    )


def _of_lease(lease: Lease) -> ColumnElement[bool]:
    return (Series.id == lease.series_id) & (Series.revision == lease.revision)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a queued series is due; one that waits for its study is not."""
    return Series.next_attempt_at.is_not(None) & is_due(
        Series.next_attempt_at, Series.attempts, now
    )
