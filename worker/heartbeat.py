"""Keeps the lease of a running screening, and ends a process that has been at it too long."""

import os
import random
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from db import lease as leases
from db.backoff import backoff
from db.lease import Lease, LeaseLost
from db.telemetry import get_logger
from worker.workshop import Workshop, utc_now

BEATS_PER_LEASE = 3
RETRY_BASE_SECONDS = 30.0
RETRY_CAP_SECONDS = 900.0
EXIT_OVERDUE = 70  # EX_SOFTWARE; the supervisor starts the process again

log = get_logger(__name__)


class Heartbeat:
    """Context manager around one screening.

    A screening runs in a thread, which nobody can stop from outside; the pools that can are
    not used, since each of their processes would hold a model. So one that passes the limit
    ends the whole process: first it is recorded as failed, and the other screenings of the
    process are given back, which does not count as an attempt of theirs.
    """

    def __init__(self, workshop: Workshop, lease: Lease) -> None:
        self._workshop = workshop
        self._lease = lease
        # A thread has none of what is bound in the one that screens.
        self._log = log.bind(
            series_instance_uid=lease.series_instance_uid, correlation_id=lease.correlation_id
        )
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._workshop.running[self._lease.screening_id] = self._lease
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._workshop.running.pop(self._lease.screening_id, None)
        self._finished.set()
        self._thread.join()

    def _beat(self) -> None:
        settings = self._workshop.settings
        pause = settings.lease_seconds / BEATS_PER_LEASE
        end = time.monotonic() + settings.limit_seconds
        held = True
        while not self._finished.wait(max(0.0, min(pause, end - time.monotonic()))):
            if time.monotonic() >= end:
                self._end_process()
            if held:
                held = self._extend()

    def _extend(self) -> bool:
        try:
            with self._workshop.sessions.begin() as session:
                held = leases.heartbeat(
                    session,
                    self._lease,
                    now=utc_now(),
                    lease_seconds=self._workshop.settings.lease_seconds,
                )
        except SQLAlchemyError as error:
            self._log.warning("heartbeat_missed", error=type(error).__name__)
            return True
        if not held:
            self._log.warning("lease_lost", screening_id=self._lease.screening_id)
        return held

    def _end_process(self) -> None:
        limit = self._workshop.settings.limit_seconds
        self._log.error("screening_overdue", limit_seconds=limit)
        try:
            for lease in list(self._workshop.running.values()):
                with suppress(SQLAlchemyError, LeaseLost):
                    if lease == self._lease:
                        fail(self._workshop, lease, f"screening took longer than {limit} s")
                    else:
                        self._give_back(lease)
        finally:
            # What could not be recorded is noticed when its lease runs out.
            os._exit(EXIT_OVERDUE)

    def _give_back(self, lease: Lease) -> None:
        with self._workshop.sessions.begin() as session:
            leases.give_back(session, lease, now=utc_now())


def fail(workshop: Workshop, lease: Lease, error: str) -> None:
    """Record that a run ended by an error, and when the next may start (LeaseLost)."""
    retry_after = backoff(
        lease.attempt,
        base_seconds=RETRY_BASE_SECONDS,
        cap_seconds=RETRY_CAP_SECONDS,
        jitter=random.random(),  # noqa: S311  # spreads retries, keeps no secret
    )
    with workshop.sessions.begin() as session:
        leases.finish_failed(
            session,
            lease,
            error=error,
            now=utc_now(),
            max_attempts=workshop.settings.max_attempts,
            retry_after=retry_after,
        )
