"""Lease of a running screening: its heartbeat, its time limit, and the record of a failure."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from common.backoff import backoff
from common.logging import get_logger
from common.metrics import SCREENINGS
from db import leases
from db.runs import Lease, LeaseLost, StudyLease
from db.session import DatabaseError, DatabaseUnavailable
from worker.context import WorkerContext, utc_now
from worker.errors import describe, stack_of
from worker.lease_heartbeat import LeaseHeartbeat

RETRY_BASE_SECONDS = 30.0
RETRY_CAP_SECONDS = 900.0
EXIT_OVERDUE = 70  # EX_SOFTWARE; the supervisor restarts the process.

log = get_logger(__name__)


@contextmanager
def keep_lease(context: WorkerContext, lease: Lease | StudyLease) -> Iterator[None]:
    """Extend the lease of a screening during the block, up to its time limit.

    A screening runs in a thread, which cannot be stopped from outside. Pools that can stop a
    task are not used, since each of their processes would hold a model. A screening past
    ``limit_seconds`` therefore ends the whole process: it is recorded as failed first, and the
    other screenings of the process are given back, which does not count as an attempt.
    """
    context.running[lease.screening_id] = lease
    with LeaseHeartbeat(
        lambda: _extend(context, lease),
        lease_seconds=context.settings.lease_seconds,
        limit_seconds=context.settings.limit_seconds,
        on_limit=lambda: _end_process(context, lease),
    ):
        try:
            yield
        finally:
            context.running.pop(lease.screening_id, None)


def record_failure(context: WorkerContext, lease: Lease | StudyLease, error: str) -> None:
    """Record that a run ended with an error, and when the next attempt may start.

    Raises LeaseLost.
    """
    retry_after = backoff(
        lease.attempt,
        base_seconds=RETRY_BASE_SECONDS,
        cap_seconds=RETRY_CAP_SECONDS,
        jitter=random.random(),  # noqa: S311 - spreads retries, not a secret
    )
    with context.sessions.begin() as session:
        leases.finish_failed(
            session,
            lease,
            error=error,
            now=utc_now(),
            max_attempts=context.settings.max_attempts,
            retry_after=retry_after,
        )


def give_back_all(context: WorkerContext) -> None:
    """Give back all running screenings; they do not count as attempts."""
    for lease in list(context.running.values()):
        with suppress(DatabaseError, LeaseLost):
            _give_back(context, lease)


def run_leased(
    context: WorkerContext, lease: Lease | StudyLease, work: Callable[[], int | None]
) -> int | None:
    """Return the result of ``work`` while the lease is kept; record an error of it.

    Raises only DatabaseUnavailable; the lease then expires and another attempt is due.
    """
    with structlog.contextvars.bound_contextvars(revision=lease.revision, **_fields(lease)):
        try:
            with keep_lease(context, lease):
                return work()
        except LeaseLost:
            log.warning("result_discarded", screening_id=lease.screening_id)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            # An unexpected error in one series must not stop the worker.
            log.error("screening_failed", error=describe(error), stack=stack_of(error))
            SCREENINGS.labels("failed").inc()
            with suppress(LeaseLost):
                record_failure(context, lease, describe(error))
    return None


def _fields(lease: Lease | StudyLease) -> dict[str, str | None]:
    """Return what identifies a lease in log lines."""
    if isinstance(lease, StudyLease):
        return {
            "study_instance_uid": lease.study_instance_uid,
            "correlation_id": lease.correlation_id,
        }
    return {
        "series_instance_uid": lease.series_instance_uid,
        "correlation_id": lease.correlation_id,
    }


def _extend(context: WorkerContext, lease: Lease | StudyLease) -> bool:
    # The context variables of the screening's thread are not visible in this one.
    bound = log.bind(**_fields(lease))
    try:
        with context.sessions.begin() as session:
            held = leases.heartbeat(
                session, lease, now=utc_now(), lease_seconds=context.settings.lease_seconds
            )
    except DatabaseError as error:
        bound.warning("heartbeat_missed", error=type(error).__name__)
        return True
    if not held:
        bound.warning("lease_lost", screening_id=lease.screening_id)
    return held


def _end_process(context: WorkerContext, overdue: Lease | StudyLease) -> None:
    limit = context.settings.limit_seconds
    log.error(
        "screening_overdue",
        limit_seconds=limit,
        **_fields(overdue),
    )
    try:
        for lease in list(context.running.values()):
            with suppress(DatabaseError, LeaseLost):
                if lease == overdue:
                    record_failure(context, lease, f"screening took longer than {limit} s")
                else:
                    _give_back(context, lease)
    finally:
        # What could not be recorded here is found when its lease expires.
        os._exit(EXIT_OVERDUE)


def _give_back(context: WorkerContext, lease: Lease | StudyLease) -> None:
    with context.sessions.begin() as session:
        leases.give_back(session, lease, now=utc_now())
