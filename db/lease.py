"""Who screens which series until when. Every function is one short transaction's work.

An attempt is counted when the lease is given, before the run, so that a series which kills
its process does not loop for ever. Lock order is series, then screening. No clock is trusted
to agree with another, nor with itself (``db/due.py``, ``worker/watch.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.orm import Session

from db.due import is_due
from db.models import Screening, Series
from db.states import RunOutcome, SeriesState
from db.transition import By, move_series

SWEEP_ACTOR = "sweep"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to screen one revision of one series, as long as the heartbeat goes on."""

    screening_id: int
    series_id: int
    study_instance_uid: str
    series_instance_uid: str
    revision: int
    attempt: int
    leased_by: str
    correlation_id: str | None


class LeaseLost(RuntimeError):
    """The run is no longer active: expired, or the series changed. Nothing may be saved.

    Let it leave the ``sessions.begin()`` block, so that the transaction is rolled back.
    """

    def __init__(self, screening_id: int) -> None:
        super().__init__(screening_id)

    def __str__(self) -> str:
        return f"the lease of screening {self.args[0]} was lost"


def due_series(session: Session, *, now: datetime, limit: int) -> list[int]:
    """Ids of series that wait for a worker, the longest waiting first."""
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
    """Take a due series, or None when it is not due or somebody else has it.

    Counts the attempt: commit before the run starts.
    """
    series = move_series(
        session,
        series_id,
        SeriesState.QUEUED,
        SeriesState.SCREENING,
        By(leased_by, now),
        where=(_is_due(now),),
        values={"attempts": Series.attempts + 1},
    )
    if series is None:
        return None
    screening_id = session.scalars(
        insert(Screening)
        .values(
            series_id=series.id,
            revision=series.revision,
            attempt=series.attempts,
            correlation_id=series.correlation_id,
            leased_by=leased_by,
            lease_until=now + timedelta(seconds=lease_seconds),
            started_at=now,
        )
        .returning(Screening.id)
    ).one()
    return Lease(
        screening_id=screening_id,
        series_id=series.id,
        study_instance_uid=series.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        revision=series.revision,
        attempt=series.attempts,
        leased_by=leased_by,
        correlation_id=series.correlation_id,
    )


def heartbeat(session: Session, lease: Lease, *, now: datetime, lease_seconds: float) -> bool:
    """Extend the lease; False when it is lost and the run should stop."""
    return _update_run(
        session, lease.screening_id, lease_until=now + timedelta(seconds=lease_seconds)
    )


def give_back(session: Session, lease: Lease, *, now: datetime) -> None:
    """Return the series unscreened because the worker stops; the attempt does not count."""
    finish_run(
        session,
        lease,
        SeriesState.QUEUED,
        RunOutcome.GIVEN_BACK,
        now=now,
        series_values={"attempts": lease.attempt - 1, "next_attempt_at": now},
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
    """End the run: the series cannot be graded.

    ``run_values`` : further columns of Screening (``orientation``, ``timings_ms``, ``result``,
    ``model_name`` …). Raises LeaseLost.
    """
    reason = {"reason_code": reason_code, "reason_text": reason_text}
    finish_run(
        session,
        lease,
        SeriesState.REJECTED,
        RunOutcome.REJECTED,
        now=now,
        series_values={**reason, "next_attempt_at": None, "error": None},
        run_values={**(run_values or {}), **reason},
        detail={"reason_code": reason_code},
    )


def finish_failed(
    session: Session,
    lease: Lease,
    *,
    error: str,
    now: datetime,
    max_attempts: int,
    retry_after: timedelta,
) -> SeriesState:
    """End the run by an error: queued again after ``retry_after``, or failed for good.

    ``error`` must hold no patient data. Returns the state that follows; raises LeaseLost.
    """
    exhausted = lease.attempt >= max_attempts
    after = SeriesState.FAILED if exhausted else SeriesState.QUEUED
    finish_run(
        session,
        lease,
        after,
        RunOutcome.FAILED,
        now=now,
        series_values={
            "error": error,
            "next_attempt_at": None if exhausted else now + retry_after,
        },
        run_values={"error": error},
        detail={"error": error, "attempt": lease.attempt},
    )
    return after


def active_leases(session: Session) -> dict[int, datetime]:
    """Screening id → until when it is leased, as its worker's clock has it, of active runs."""
    rows = session.execute(
        select(Screening.id, Screening.lease_until).where(Screening.finished_at.is_(None))
    )
    return {screening_id: lease_until for screening_id, lease_until in rows}


def expire_leases(
    session: Session, silent: Mapping[int, datetime], *, now: datetime, max_attempts: int
) -> list[int]:
    """End runs whose lease was not extended; their series are queued at once, or failed.

    ``silent`` : of ``active_leases``, those that stayed as they are for too long; what has been
    extended since goes on. Returns the ids of the series that are due again.
    """
    ran_out = session.execute(
        select(Screening.id, Screening.leased_by, Series.id, Series.attempts)
        .join(Series, Series.id == Screening.series_id)
        .where(Screening.finished_at.is_(None), Screening.id.in_(silent))
        .order_by(Series.id)
        .with_for_update(of=Series, skip_locked=True)
    ).all()
    requeued = []
    for screening_id, leased_by, series_id, attempts in ran_out:
        closed = _update_run(
            session,
            screening_id,
            Screening.lease_until == silent[screening_id],  # no heartbeat in between
            finished_at=now,
            outcome=RunOutcome.EXPIRED,
        )
        if not closed:
            continue
        exhausted = attempts >= max_attempts
        error = f"lease of {leased_by} expired in attempt {attempts}"
        move_series(
            session,
            series_id,
            SeriesState.SCREENING,
            SeriesState.FAILED if exhausted else SeriesState.QUEUED,
            By(SWEEP_ACTOR, now),
            values={"error": error, "next_attempt_at": None if exhausted else now},
            detail={"error": error},
        )
        if not exhausted:
            requeued.append(series_id)
    return requeued


def finish_run(
    session: Session,
    lease: Lease,
    after: SeriesState,
    outcome: RunOutcome,
    *,
    now: datetime,
    series_values: Mapping[str, Any],
    run_values: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Series:
    """End a run that is still active and move its series; raises LeaseLost otherwise."""
    series = move_series(
        session,
        lease.series_id,
        SeriesState.SCREENING,
        after,
        By(lease.leased_by, now),
        where=(Series.revision == lease.revision,),
        values=series_values,
        detail=detail,
    )
    closed = series is not None and _update_run(
        session, lease.screening_id, **(run_values or {}), finished_at=now, outcome=outcome
    )
    if series is None or not closed:
        raise LeaseLost(lease.screening_id)
    return series


def _is_due(now: datetime) -> ColumnElement[bool]:
    return is_due(Series.next_attempt_at, Series.attempts, now)


def _update_run(
    session: Session, screening_id: int, *where: ColumnElement[bool], **values: Any
) -> bool:
    """Change a run that is still active; False when it is not (or not as ``where`` asks)."""
    updated: Sequence[int] = session.scalars(
        update(Screening)
        .where(Screening.id == screening_id, Screening.finished_at.is_(None), *where)
        .values(**values)
        .returning(Screening.id)
    ).all()
    return bool(updated)
