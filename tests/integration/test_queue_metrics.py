"""Covered: the metrics of the queue: what is open, since when, and what is held."""

import math
from pathlib import Path

import pytest

from common.metrics import REGISTRY
from common.spool.disk_space import free_bytes_or_nan
from tests.support.record import Sessions, after, completed, fail, lease, register, screened
from worker.queue_metrics import QueueMetrics, set_queue_metrics

pytestmark = pytest.mark.servers


def value(name: str, kind: str, state: str) -> float | None:
    return REGISTRY.get_sample_value(f"osteoscreen_{name}", {"kind": kind, "state": state})


def test_open_work_is_counted_by_state_with_its_age(sessions: Sessions) -> None:
    screened(sessions, "pacs", "archive")
    waiting = register(sessions, completed(series_instance_uid="1.2.3.5"), now=after(100))
    with sessions() as session:
        set_queue_metrics(session, after(400))
        first = value("queue_age_seconds", "series", "queued")
        objects = value("queue", "object", "due")
    fail(sessions, lease(sessions, waiting.series_id, now=after(500)), now=500)
    with sessions() as session:
        later = QueueMetrics()
        later.update(session, after(600))
        later.update(session, after(9999))  # too early: nothing is read

    assert (first, objects) == (300, 4)
    assert value("queue", "series", "screened") == 1
    assert value("queue", "series", "failed") == 0
    assert value("queue_age_seconds", "series", "failed") == 0
    assert value("queue_age_seconds", "series", "screened") == 600
    assert REGISTRY.get_sample_value("osteoscreen_held_instances") == 0


def test_free_space_that_cannot_be_read_is_not_a_number(tmp_path: Path) -> None:
    assert free_bytes_or_nan(tmp_path) > 0
    assert math.isnan(free_bytes_or_nan(tmp_path / "none"))
