"""Metrics of the queue: what is not finished, by state, and for how long."""

import time
from datetime import datetime

from common.metrics import HELD_INSTANCES, QUEUE, QUEUE_AGE_SECONDS
from db.held import count_held
from db.queue_status import open_work
from db.session import Session

INTERVAL_SECONDS = 15.0  # Prometheus scrapes no more often


class QueueMetrics:
    """Sets the metrics at most every ``INTERVAL_SECONDS``."""

    def __init__(self) -> None:
        self._next = time.monotonic()

    def update(self, session: Session, now: datetime) -> None:
        """Set the metrics from the record, unless that was done a moment ago."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + INTERVAL_SECONDS
        set_queue_metrics(session, now)


def set_queue_metrics(session: Session, now: datetime) -> None:
    """Set the metrics from the record; a state without work has 0."""
    for one in open_work(session):
        age = 0.0 if one.since is None else (now - one.since).total_seconds()
        QUEUE.labels(one.kind, one.state).set(one.count)
        if one.kind != "object":
            QUEUE_AGE_SECONDS.labels(one.kind, one.state).set(max(age, 0.0))
    HELD_INSTANCES.set(count_held(session))
