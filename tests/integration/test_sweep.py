"""Covered: the sweep of the worker and the deletion of pixels, on real PostgreSQL and Redis."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from common.spool.layout import INCOMING, SeriesKey, instance_path, results_folder
from common.spool.writer import SpoolWriter
from common.task_publisher import DELIVERY_QUEUE, SCREENING_QUEUE, TaskPublisher
from db.states import SeriesState
from deploy.demo.embedded import free_port
from tests.support import record
from tests.support.servers import wait_for
from tests.support.worker_contexts import register, with_settings
from worker.context import WorkerContext, utc_now
from worker.lease_monitor import LeaseMonitor
from worker.sweep import Sweeper, purge_pixels, sweep

pytestmark = pytest.mark.servers


@pytest.fixture
def publisher(redis_url: str) -> Iterator[TaskPublisher]:
    publisher = TaskPublisher.from_url(redis_url)
    yield publisher
    publisher.close()


def test_a_sweep_publishes_due_series_once_and_again_if_the_messages_are_lost(
    context: WorkerContext, publisher: TaskPublisher, redis_url: str
) -> None:
    for number in range(3):
        register(context, number)

    sweep(context, publisher, LeaseMonitor(60))
    first = publisher.queue_length(SCREENING_QUEUE)
    sweep(context, publisher, LeaseMonitor(60))
    second = publisher.queue_length(SCREENING_QUEUE)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    lost = publisher.queue_length(SCREENING_QUEUE)
    sweep(context, publisher, LeaseMonitor(60))

    assert (first, second, lost, publisher.queue_length(SCREENING_QUEUE)) == (3, 3, 0, 3)


def test_a_sweep_publishes_due_deliveries(
    context: WorkerContext, publisher: TaskPublisher
) -> None:
    series_id = register(context)
    held = record.lease(context.sessions, series_id, now=utc_now())
    record.save(context.sessions, held, "pacs", "archive", now=utc_now())

    sweep(context, publisher, LeaseMonitor(60))

    assert publisher.queue_length(DELIVERY_QUEUE) == 2
    assert publisher.queue_length(SCREENING_QUEUE) == 0


def test_a_sweep_gives_the_series_of_a_dead_worker_to_another(
    context: WorkerContext, publisher: TaskPublisher
) -> None:
    series_id = register(context)
    record.lease(context.sessions, series_id, now=utc_now() + timedelta(days=1))
    monitor = LeaseMonitor(0.5)

    sweep(context, publisher, monitor)
    before = record.read_series(context.sessions, series_id).state

    def expired() -> bool:
        sweep(context, publisher, monitor)
        return record.read_series(context.sessions, series_id).state is SeriesState.QUEUED

    assert before is SeriesState.SCREENING
    wait_for(expired, "the end of the lease", seconds=20)
    assert publisher.queue_length(SCREENING_QUEUE) == 1


def test_the_sweeper_survives_a_database_that_does_not_answer(
    context: WorkerContext, publisher: TaskPublisher, capsys: pytest.CaptureFixture[str]
) -> None:
    away = with_settings(
        context,
        sweep_seconds=0.05,
        database_url=f"postgresql+psycopg2://user:secret@127.0.0.1:{free_port()}/none",
    )
    sweeper = Sweeper(away, publisher)

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


def test_the_sweeper_deletes_what_killed_writers_left(
    context: WorkerContext, publisher: TaskPublisher
) -> None:
    often = with_settings(context, sweep_seconds=0.05)
    writer = SpoolWriter(often.settings.spool_dir)
    writer.prepare()
    left = often.settings.spool_dir / INCOMING / "left.part"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    sweeper = Sweeper(often, publisher)
    in_use = writer.open()
    sweeper.start()
    try:
        wait_for(lambda: not left.exists(), "the deletion", seconds=20)
    finally:
        sweeper.stop()

    in_use.move(left.with_name("whole"))  # fails if it was deleted


@pytest.mark.covers("R23")
def test_only_the_pixels_of_old_finished_series_are_deleted(
    context: WorkerContext,
) -> None:
    spool = context.settings.spool_dir
    long_ago = utc_now() - timedelta(days=31)
    keys = [SeriesKey("1.2.3", f"1.2.3.{number}") for number in range(4)]
    for number, key in enumerate(keys):
        series = record.completed(series_instance_uid=key.series_instance_uid)
        recent = number == 2
        now = utc_now() if recent else long_ago
        series_id = record.register(context.sessions, series, now=now).series_id
        context.spool.write(instance_path(spool, key, "1.5"), [b"pixels"])
        context.spool.write(results_folder(spool, key, 1) / "sr.dcm", [b"result"])
        if number != 1:  # number 1 is still queued
            record.save(
                context.sessions,
                record.lease(context.sessions, series_id, now=now),
                now=now,
            )
        if number != 3:  # number 3 got a late instance today
            _make_old(instance_path(spool, key, "1.5").parent, long_ago.timestamp())

    purge_pixels(context)

    kept = [instance_path(spool, key, "1.5").exists() for key in keys]
    assert kept == [False, True, True, True]
    assert all((results_folder(spool, key, 1) / "sr.dcm").exists() for key in keys)


def _make_old(folder: Path, timestamp: float) -> None:
    for path in (*folder.iterdir(), folder):
        os.utime(path, (timestamp, timestamp))
