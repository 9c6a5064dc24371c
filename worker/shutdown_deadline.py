"""Deadline of a shutdown: SIGTERM ends a worker within its grace period in every state.

Celery waits for running tasks without a limit, and the supervisor (systemd, Docker, Kubernetes)
sends SIGKILL at the end of the grace period: a series that was being screened would then wait
for the end of its lease. This thread gives the work back before.
"""

import os
import threading
import time

from common.logging import get_logger
from worker.context import WorkerContext
from worker.screening.lease import give_back_all

POLL_SECONDS = 0.2
GIVE_BACK_SECONDS = 5.0

log = get_logger(__name__)


class ShutdownDeadline:
    """Ends the process ``shutdown_seconds`` after ``request``."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._requested_at: float | None = None

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="shutdown deadline", daemon=True).start()

    def request(self) -> None:
        """Start the period. Called by a signal handler, which must take no lock."""
        if self._requested_at is None:
            self._requested_at = time.monotonic()

    def _run(self) -> None:
        limit = self._context.settings.shutdown_seconds
        while self._requested_at is None or time.monotonic() < self._requested_at + limit:
            time.sleep(POLL_SECONDS)
        log.warning("shutdown_overdue", limit_seconds=limit)
        # In a thread: the database may not answer.
        giving_back = threading.Thread(target=give_back_all, args=(self._context,), daemon=True)
        giving_back.start()
        giving_back.join(GIVE_BACK_SECONDS)
        # What is not given back is found when its lease expires. A delivery ends with this
        # process, and is due again when its claim expires.
        os._exit(os.EX_OK)
