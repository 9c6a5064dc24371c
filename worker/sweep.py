"""Repairs what messages lost: ends expired leases, nudges what is due, forgets old pixels."""

import threading
import time
from datetime import timedelta

from db import claim, standing
from db import lease as leases
from db.health import Rounds
from db.queue import DELIVERY_QUEUE, SCREENING_QUEUE
from db.retention import remove_old_pixels
from db.telemetry import OLDEST_WAITING_SECONDS, get_logger
from worker.nudge import Nudges
from worker.watch import Watch
from worker.workshop import Workshop, utc_now

# So many are nudged at a time, and only while the queue is empty: a long backlog must not be
# published again with every sweep.
BATCH = 100
RETENTION_PAUSE_SECONDS = 3600.0

log = get_logger(__name__)


def sweep(workshop: Workshop, nudges: Nudges, watch: Watch) -> None:
    """One look at the record. Raises what database and broker raise when they are away."""
    now = utc_now()
    with workshop.sessions.begin() as session:
        silent = watch.silent(leases.active_leases(session), now=time.monotonic())
        expired = leases.expire_leases(
            session, silent, now=now, max_attempts=workshop.settings.max_attempts
        )
    if expired:
        log.warning("leases_expired", series_ids=expired)
    with workshop.sessions.begin() as session:
        series_ids = leases.due_series(session, now=now, limit=BATCH)
        deliveries = claim.due_deliveries(session, now=now, limit=BATCH)
        waiting_since = standing.oldest_waiting(session)
    OLDEST_WAITING_SECONDS.set((now - (waiting_since or now)).total_seconds())
    if series_ids and nudges.waiting(SCREENING_QUEUE) == 0:
        for series_id in series_ids:
            nudges.screen(series_id)
    if deliveries and nudges.waiting(DELIVERY_QUEUE) == 0:
        for due in deliveries:
            nudges.deliver(due.screening_id, due.destination)


def forget(workshop: Workshop) -> None:
    """Delete the pixels of series that were finished ``retention_days`` ago."""
    before = utc_now() - timedelta(days=workshop.settings.retention_days)
    with workshop.sessions.begin() as session:
        removed = remove_old_pixels(session, workshop.settings.spool_dir, before=before)
    if removed:
        log.info("pixels_removed", series=removed)


class Sweeper:
    """A thread of the worker that sweeps at its start and then every ``sweep_seconds``."""

    def __init__(self, workshop: Workshop, nudges: Nudges) -> None:
        self._workshop = workshop
        self._nudges = nudges
        self._watch = Watch(workshop.settings.lease_seconds)
        self._stopped = threading.Event()
        self.rounds = Rounds("sweeper", pause_seconds=workshop.settings.sweep_seconds)
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin to sweep."""
        self._thread.start()

    def stop(self) -> None:
        """End after the sweep that is going on."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        forget_at = time.monotonic()
        while not self._stopped.is_set():
            self.rounds.count()
            try:
                sweep(self._workshop, self._nudges, self._watch)
                if time.monotonic() >= forget_at:
                    forget(self._workshop)
                    forget_at = time.monotonic() + RETENTION_PAUSE_SECONDS
            except Exception as error:
                # A process boundary: a database or broker that is away comes back, and the
                # next sweep finds all that this one has missed.
                self._watch.look_away()
                log.warning("sweep_failed", error=type(error).__name__)
            self._stopped.wait(self._workshop.settings.sweep_seconds)
