"""Periodic sweep: expire leases, publish due work again, delete leftovers and old pixels."""

import threading
import time
from datetime import timedelta

from common.health import LoopProbe
from common.logging import get_logger
from common.metrics import OLDEST_WAITING_SECONDS
from common.spool.writer import clean_incoming
from common.task_publisher import DELIVERY_QUEUE, SCREENING_QUEUE, TaskPublisher
from db import deliveries, lease_expiry, leases, queue_status, study_leases
from db.retention import remove_old_pixels
from worker.context import WorkerContext, utc_now
from worker.lease_monitor import LeaseMonitor
from worker.queue_metrics import QueueMetrics

# Tasks published in one sweep, and only while the queue is empty: a long backlog must not be
# published again by every sweep.
BATCH = 100
RETENTION_INTERVAL_SECONDS = 3600.0
# Much longer than a writer takes from the creation of a file to its lock.
LEFTOVER_SECONDS = 5.0

log = get_logger(__name__)


def sweep(context: WorkerContext, publisher: TaskPublisher, monitor: LeaseMonitor) -> None:
    """Expire silent leases and publish due work once.

    Raises the errors of the database and of the broker when they do not answer.
    """
    now = utc_now()
    with context.sessions.begin() as session:
        silent = monitor.silent(leases.active_leases(session), now=time.monotonic())
        expired = lease_expiry.expire_leases(
            session, silent, now=now, max_attempts=context.settings.max_attempts
        )
    if expired:
        log.warning("leases_expired", series_ids=expired)
    with context.sessions.begin() as session:
        series_ids = leases.due_series(session, now=now, limit=BATCH)
        study_ids = study_leases.due_studies(session, now=now, limit=BATCH)
        due_deliveries = deliveries.due_deliveries(session, now=now, limit=BATCH)
        waiting_since = queue_status.oldest_waiting(session)
    OLDEST_WAITING_SECONDS.set((now - (waiting_since or now)).total_seconds())
    if (series_ids or study_ids) and publisher.queue_length(SCREENING_QUEUE) == 0:
        for series_id in series_ids:
            publisher.screen(series_id)
        for study_id in study_ids:
            publisher.screen_study(study_id)
    if due_deliveries and publisher.queue_length(DELIVERY_QUEUE) == 0:
        for due in due_deliveries:
            publisher.deliver(due.screening_id, due.destination)


def purge_pixels(context: WorkerContext) -> None:
    """Delete the pixel data of series that were finished ``retention_days`` ago."""
    before = utc_now() - timedelta(days=context.settings.retention_days)
    with context.sessions.begin() as session:
        removed = remove_old_pixels(session, context.settings.spool_dir, before=before)
    if removed:
        log.info("pixels_removed", series=removed)


def clean_spool(context: WorkerContext) -> None:
    """Delete the half-written files of receivers and workers that were killed."""
    removed = clean_incoming(context.settings.spool_dir, min_age_seconds=LEFTOVER_SECONDS)
    if removed:
        log.warning("leftovers_removed", files=removed)


class Sweeper:
    """Thread of the worker that sweeps at its start and then every ``sweep_seconds``."""

    def __init__(self, context: WorkerContext, publisher: TaskPublisher) -> None:
        self._context = context
        self._publisher = publisher
        self._monitor = LeaseMonitor(context.settings.lease_seconds)
        self._metrics = QueueMetrics()
        self._stopped = threading.Event()
        self.rounds = LoopProbe("sweeper", pause_seconds=context.settings.sweep_seconds)
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread after the sweep in progress."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        purge_at = time.monotonic()
        while not self._stopped.is_set():
            self.rounds.beat()
            try:
                sweep(self._context, self._publisher, self._monitor)
                with self._context.sessions() as session:
                    self._metrics.update(session, utc_now())
                clean_spool(self._context)
                if time.monotonic() >= purge_at:
                    purge_pixels(self._context)
                    purge_at = time.monotonic() + RETENTION_INTERVAL_SECONDS
            except Exception as error:
                # The thread must survive an outage of the database or the broker; the next
                # sweep finds whatever this one has missed.
                self._monitor.reset()
                log.warning("sweep_failed", error=type(error).__name__)
            self._stopped.wait(self._context.settings.sweep_seconds)
