"""Covered: leases, time limits and start-up errors of the worker, with real PostgreSQL and
Redis.

Not covered: the sweep (test_sweep.py), the pipeline (test_full_path.py).
"""

import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread

from common.spool.layout import SeriesKey, instance_path
from db.models import Series
from db.states import SeriesState
from deploy.demo.embedded import Postgres
from deploy.demo.processes import CELERY, Process
from tests.support import record
from tests.support.series import simulate_small
from tests.support.servers import child_environment, wait_for
from tests.support.worker_contexts import history, register, with_settings
from worker.context import WorkerContext, utc_now
from worker.screening.lease import EXIT_OVERDUE, keep_lease
from worker.screening.screen_series import screen_series

pytestmark = pytest.mark.servers


def row(context: WorkerContext, series_id: int) -> Series:
    return record.read_series(context.sessions, series_id)


def test_a_heartbeat_extends_a_lease_again_and_again(context: WorkerContext) -> None:
    brief = with_settings(context, lease_seconds=0.6)
    series_id = register(brief)
    held = record.lease(brief.sessions, series_id, now=utc_now())

    with keep_lease(brief, held):
        # The first beat shortens the 60 s that the lease was taken for.
        wait_for(lambda: lease_until(brief) < utc_now() + timedelta(seconds=5), "a beat")
        before = lease_until(brief)
        wait_for(lambda: lease_until(brief) > before, "another beat", seconds=30)


def lease_until(context: WorkerContext) -> datetime:
    return history(context).screenings[-1].lease_until


OVERDUE = """
import sys, threading
from common.settings.load import load_settings
from common.settings.worker import WorkerSettings
from tests.support import record
from worker.context import WorkerContext, utc_now
from worker.screening.lease import keep_lease

settings = load_settings(WorkerSettings)
context = WorkerContext(settings.model_copy(update={"limit_seconds": 1}))
unlimited = WorkerContext(settings)
unlimited.running = context.running
slow, other = (
    record.lease(context.sessions, int(arg), now=utc_now()) for arg in sys.argv[1:]
)
with keep_lease(unlimited, other), keep_lease(context, slow):
    threading.Event().wait(30)
"""


def test_a_screening_past_its_limit_ends_the_process_and_only_it_counts_as_failed(
    context: WorkerContext, child_settings: dict[str, object], tmp_path: Path
) -> None:
    slow, other = register(context, 1), register(context, 2)

    ended = subprocess.run(
        [sys.executable, "-c", OVERDUE, str(slow), str(other)],
        env=child_environment(child_settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == EXIT_OVERDUE, ended.stderr
    failed, given_back = row(context, slow), row(context, other)
    assert (failed.state, failed.attempts) == (SeriesState.QUEUED, 1)
    assert failed.error == "screening took longer than 1 s"
    assert failed.next_attempt_at is not None
    assert failed.next_attempt_at > utc_now() + timedelta(seconds=5)
    assert (given_back.state, given_back.attempts) == (SeriesState.QUEUED, 0)


def test_an_error_is_recorded_without_its_message_and_tried_again_later(
    context: WorkerContext,
) -> None:
    series_id = register(context)

    assert screen_series(context, series_id) is None

    after = row(context, series_id)
    assert after.state is SeriesState.QUEUED
    assert after.attempts == 1
    assert after.error is not None
    assert after.error.startswith("FileNotFoundError in screen_series.py:")
    assert after.next_attempt_at is not None
    assert after.next_attempt_at > utc_now() + timedelta(seconds=10)


def test_a_series_with_refused_instances_is_rejected(
    context: WorkerContext, tmp_path: Path
) -> None:
    paths = simulate_small(tmp_path / "series", "coronal")
    ds = dcmread(paths[0], stop_before_pixels=True)
    series = record.completed(
        study_instance_uid=ds.StudyInstanceUID,
        series_instance_uid=ds.SeriesInstanceUID,
        refused_count=17,
    )
    key = SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
    for number, path in enumerate(paths):
        target = instance_path(context.settings.spool_dir, key, f"1.{number}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    series_id = record.register(context.sessions, series, now=utc_now()).series_id

    assert screen_series(context, series_id) is None

    after = row(context, series_id)
    assert (after.state, after.reason_code) == (SeriesState.REJECTED, "GAPS")
    assert after.reason_text == ("17 instances were refused at reception and not sent again.")


def test_a_series_that_is_not_due_is_not_screened(context: WorkerContext) -> None:
    series_id = register(context)
    record.lease(context.sessions, series_id, now=utc_now())

    assert screen_series(context, series_id) is None
    assert screen_series(context, 999_999) is None

    assert row(context, series_id).state is SeriesState.SCREENING


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["model", "schema", "destinations", "spool", "metrics"])
def test_a_worker_that_cannot_start_exits_with_one_line(
    wrong: str,
    postgres: Postgres,
    child_settings: dict[str, object],
    model_dir: Path,
    tmp_path: Path,
) -> None:
    setting, value, line = {
        "model": ("MODEL_DIR", tmp_path / "none", str(tmp_path / "none")),
        "schema": ("DATABASE_URL", postgres.url_of("postgres"), "python -m db upgrade"),
        "destinations": ("DESTINATIONS", "[", "OSTEOSCREEN_DESTINATIONS: "),
        "spool": ("SPOOL_DIR", "/proc/none", "OSTEOSCREEN_SPOOL_DIR: "),
        "metrics": ("METRICS_PORT", postgres.port, "OSTEOSCREEN_METRICS_PORT: "),
    }[wrong]
    worker = Process(
        CELERY,
        environment=child_environment(
            {**child_settings, "MODEL_DIR": model_dir, setting: value}
        ),
        log_path=tmp_path / "worker.log",
        cwd=tmp_path,
    )

    with worker:
        assert worker.wait(120) == 2, worker.log

    assert sum(line in one for one in worker.log.splitlines()) == 1
    assert "Traceback" not in worker.log


@pytest.mark.slow
def test_a_broker_that_hangs_does_not_block_the_sweep(
    child_settings: dict[str, object], tmp_path: Path
) -> None:
    program = (
        "from common.task_publisher import TaskPublisher; from worker.celery import app;"
        "TaskPublisher(app).queue_length('screening')"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never answers
        broker = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env=child_environment({**child_settings, "BROKER_URL": broker}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert ended.returncode == 1
    assert "OperationalError" in ended.stderr
