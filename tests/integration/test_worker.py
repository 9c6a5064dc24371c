"""The worker's dealings with record, spool and broker: leases, limits, sweeps, deliveries.

PostgreSQL and Redis are real; no pipeline runs here (tests/integration/test_full_path.py).
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery

from db.models import Series
from db.overview import series_history
from db.queue import DELIVERY_QUEUE, SCREENING_QUEUE
from db.spool import SeriesKey, instance_path, results_folder
from db.states import SeriesState
from deploy.embedded import Postgres, free_port
from deploy.processes import CELERY, Process
from tests.integration import record
from tests.integration.workshops import register, with_settings
from tests.servers import child_environment, wait_for
from worker.heartbeat import EXIT_OVERDUE, Heartbeat
from worker.nudge import Nudges
from worker.screening import screen_series
from worker.sweep import Sweeper, forget, sweep
from worker.watch import Watch
from worker.workshop import Workshop, utc_now

pytestmark = pytest.mark.servers


@pytest.fixture
def nudges(redis_url: str) -> Iterator[Nudges]:
    app = Celery("test", broker=redis_url, set_as_current=False)
    yield Nudges(app)
    app.close()


def row(workshop: Workshop, series_id: int) -> Series:
    return record.read_series(workshop.sessions, series_id)


def test_a_sweep_nudges_what_is_due_once_and_again_when_the_messages_are_lost(
    workshop: Workshop, nudges: Nudges, redis_url: str
) -> None:
    for number in range(3):
        register(workshop, number)

    sweep(workshop, nudges, Watch(60))
    first = nudges.waiting(SCREENING_QUEUE)
    sweep(workshop, nudges, Watch(60))
    second = nudges.waiting(SCREENING_QUEUE)
    with Celery("flush", broker=redis_url, set_as_current=False).connection() as connection:
        connection.default_channel.client.flushall()
    lost = nudges.waiting(SCREENING_QUEUE)
    sweep(workshop, nudges, Watch(60))

    assert (first, second, lost, nudges.waiting(SCREENING_QUEUE)) == (3, 3, 0, 3)


def test_a_sweep_nudges_due_deliveries(workshop: Workshop, nudges: Nudges) -> None:
    series_id = register(workshop)
    held = record.lease(workshop.sessions, series_id, now=utc_now())
    record.save(workshop.sessions, held, "pacs", "archive", now=utc_now())

    sweep(workshop, nudges, Watch(60))

    assert nudges.waiting(DELIVERY_QUEUE) == 2
    assert nudges.waiting(SCREENING_QUEUE) == 0


def test_a_sweep_gives_the_series_of_a_dead_worker_to_another(
    workshop: Workshop, nudges: Nudges
) -> None:
    series_id = register(workshop)
    record.lease(workshop.sessions, series_id, now=utc_now() + timedelta(days=1))
    watch = Watch(0.5)

    sweep(workshop, nudges, watch)
    before = row(workshop, series_id).state
    time.sleep(0.6)
    sweep(workshop, nudges, watch)

    assert before is SeriesState.SCREENING
    assert row(workshop, series_id).state is SeriesState.QUEUED
    assert nudges.waiting(SCREENING_QUEUE) == 1


def test_the_sweeper_outlives_a_database_that_is_away(
    workshop: Workshop, nudges: Nudges, capsys: pytest.CaptureFixture[str]
) -> None:
    away = with_settings(
        workshop,
        sweep_seconds=0.05,
        database_url=f"postgresql+psycopg2://nobody:secret@127.0.0.1:{free_port()}/none",
    )
    sweeper = Sweeper(away, nudges)

    sweeper.start()
    seen: list[str] = []

    def twice() -> bool:
        seen.append(capsys.readouterr().out)
        return "".join(seen).count("sweep_failed") >= 2

    try:
        wait_for(twice, "two failed sweeps", seconds=20)
    finally:
        sweeper.stop()
    assert "secret" not in "".join(seen)


def test_a_heartbeat_keeps_a_lease_longer_than_it_was_given(workshop: Workshop) -> None:
    brief = with_settings(workshop, lease_seconds=0.6)
    series_id = register(brief)
    held = record.lease(brief.sessions, series_id, now=utc_now())

    with Heartbeat(brief, held):
        # The first beat shortens the 60 s that the lease was taken for.
        wait_for(lambda: lease_until(brief) < utc_now() + timedelta(seconds=5), "a beat")
        before = lease_until(brief)
        wait_for(lambda: lease_until(brief) > before, "another beat", seconds=5)


def lease_until(workshop: Workshop) -> datetime:
    with workshop.sessions.begin() as session:
        history = series_history(session, "1.2.3.1")
        assert history is not None
        return history.screenings[-1].lease_until


OVERDUE = """
import sys, time
from db.settings import load_settings
from tests.integration import record
from worker.heartbeat import Heartbeat
from worker.settings import WorkerSettings
from worker.workshop import Workshop, utc_now

settings = load_settings(WorkerSettings)
workshop = Workshop(settings.model_copy(update={"limit_seconds": 1}))
patient = Workshop(settings)
patient.running = workshop.running
slow, innocent = (
    record.lease(workshop.sessions, int(arg), now=utc_now()) for arg in sys.argv[1:]
)
with Heartbeat(patient, innocent), Heartbeat(workshop, slow):
    time.sleep(30)
"""


def test_a_screening_past_its_limit_ends_the_process_and_blames_only_itself(
    workshop: Workshop, child_settings: dict[str, object], tmp_path: Path
) -> None:
    slow, innocent = register(workshop, 1), register(workshop, 2)

    ended = subprocess.run(
        [sys.executable, "-c", OVERDUE, str(slow), str(innocent)],
        env=child_environment(child_settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == EXIT_OVERDUE, ended.stderr
    blamed, spared = row(workshop, slow), row(workshop, innocent)
    assert (blamed.state, blamed.attempts) == (SeriesState.QUEUED, 1)
    assert blamed.error == "screening took longer than 1 s"
    assert blamed.next_attempt_at is not None
    assert blamed.next_attempt_at > utc_now() + timedelta(seconds=5)
    assert (spared.state, spared.attempts) == (SeriesState.QUEUED, 0)


def test_an_error_is_recorded_without_its_text_and_tried_again_later(
    workshop: Workshop,
) -> None:
    series_id = register(workshop)

    assert screen_series(workshop, series_id) is None

    after = row(workshop, series_id)
    assert after.state is SeriesState.QUEUED
    assert after.attempts == 1
    assert after.error is not None
    assert after.error.startswith("FileNotFoundError in screening.py:")
    assert after.next_attempt_at is not None
    assert after.next_attempt_at > utc_now() + timedelta(seconds=10)


def test_a_series_that_is_not_due_is_left_alone(workshop: Workshop) -> None:
    series_id = register(workshop)
    record.lease(workshop.sessions, series_id, now=utc_now())

    assert screen_series(workshop, series_id) is None
    assert screen_series(workshop, 999_999) is None

    assert row(workshop, series_id).state is SeriesState.SCREENING


def test_pixels_of_old_finished_series_are_forgotten_and_nothing_else(
    workshop: Workshop,
) -> None:
    spool = workshop.settings.spool_dir
    long_ago = utc_now() - timedelta(days=31)
    keys = [SeriesKey("1.2.3", f"1.2.3.{number}") for number in range(4)]
    for number, key in enumerate(keys):
        series = record.completed(series_instance_uid=key.series_instance_uid)
        recent = number == 2
        now = utc_now() if recent else long_ago
        series_id = record.register(workshop.sessions, series, now=now).series_id
        workshop.spool.write(instance_path(spool, key, "1.5"), [b"pixels"])
        workshop.spool.write(results_folder(spool, key, 1) / "sr.dcm", [b"result"])
        if number != 1:  # number 1 is still queued
            record.save(
                workshop.sessions,
                record.lease(workshop.sessions, series_id, now=now),
                now=now,
            )
        if number != 3:  # number 3 got a late instance today
            _make_old(instance_path(spool, key, "1.5").parent, long_ago.timestamp())

    forget(workshop)

    kept = [instance_path(spool, key, "1.5").exists() for key in keys]
    assert kept == [False, True, True, True]
    assert all((results_folder(spool, key, 1) / "sr.dcm").exists() for key in keys)


def _make_old(folder: Path, timestamp: float) -> None:
    for path in (*folder.iterdir(), folder):
        os.utime(path, (timestamp, timestamp))


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["model", "schema", "destinations", "spool", "metrics"])
def test_a_worker_that_cannot_work_stops_at_once_with_one_line(
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
def test_a_broker_that_hangs_does_not_hold_up_the_sweep_for_ever(
    child_settings: dict[str, object], tmp_path: Path
) -> None:
    ask = "from worker.celery import nudges; nudges.waiting('screening')"
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never answers
        broker = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        asked = subprocess.run(
            [sys.executable, "-c", ask],
            env=child_environment({**child_settings, "BROKER_URL": broker}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert asked.returncode == 1
    assert "OperationalError" in asked.stderr
