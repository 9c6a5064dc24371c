"""``python -m tests.bench.two_workers``: 200 queued series with one and with two workers.

The workers share one spool, one PostgreSQL and one broker. When they are idle, a Storage SCP
starts, finds the series in the spool, registers and publishes them much faster than they are
screened. The wall time is from the start of the first screening to the end of the last.
``--pin`` binds each worker to one core, so that a second worker adds a core; without it one
worker may use all cores.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from pydicom import dcmread
from sqlalchemy import func, select

from common.spool.layout import SeriesKey, instance_path
from db.models import Screening, Series
from db.session import make_engine, make_sessions
from db.states import RunOutcome
from deploy.demo.embedded import Postgres, Valkey, free_port
from deploy.demo.processes import CELERY, STORESCP, Process
from tests.bench.machine import DISK_FOLDER, describe_load
from tests.support.databases import upgrade
from tests.support.model_factory import make_untrained_package
from tests.support.series import copy_series, simulate_quick
from tests.support.servers import child_environment, wait_for, wait_until_listening
from tests.support.services import wait_until_ready

TIMEOUT_SECONDS = 3600.0
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class SharedWork:
    """Outcome of a run; ``by_worker`` is the number of screenings of each worker."""

    wall_s: float
    screened: int
    screened_twice: int
    by_worker: tuple[int, ...]


def fill_spool(spool_dir: Path, count: int, folder: Path) -> None:
    """Write ``count`` small series of one simulated patient, each in its own study."""
    images = simulate_quick(folder / "simulated")
    for number in range(count):
        for path in copy_series(images, folder / str(number)):
            ds = dcmread(path, stop_before_pixels=True)
            key = SeriesKey(str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID))
            target = instance_path(spool_dir, key, str(ds.SOPInstanceUID))
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)


def share(
    settings: Mapping[str, object], count: int, folder: Path, cores: Sequence[int | None]
) -> SharedWork:
    """Screen the ``count`` series of a spool with one worker per entry of ``cores``.

    A worker is bound to its core; None: not bound. ``settings`` are those of all processes; the
    database must be empty.
    """
    folder.mkdir()
    environment = child_environment(settings)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(_worker(number, core, environment, folder))
            for number, core in enumerate(cores)
        ]
        for worker in workers:
            wait_until_ready(worker)
        scp = Process(
            STORESCP, environment=environment, log_path=folder / "scp.log", cwd=folder
        )
        wait_until_listening(stack.enter_context(scp), int(str(settings["PORT"])))
        engine = make_engine(str(settings["DATABASE_URL"]), application_name="bench")
        stack.callback(engine.dispose)
        sessions = make_sessions(engine)

        def is_finished() -> bool:
            ended = [one for one in workers if not one.running]
            assert not ended, ended[0].log
            time.sleep(POLL_SECONDS)  # the query takes CPU time from the workers
            with sessions() as session:
                done = select(func.count(func.distinct(Screening.series_id))).where(
                    Screening.finished_at.is_not(None)
                )
                return session.scalar(done) == count

        wait_for(is_finished, f"{count} series", TIMEOUT_SECONDS)
        with sessions() as session:
            screenings = session.scalars(select(Screening)).all()
            series_count = session.scalar(select(func.count()).select_from(Series))
    assert series_count == count
    return _summarize(screenings)


@contextmanager
def _worker(
    number: int, core: int | None, environment: dict[str, str], folder: Path
) -> Iterator[Process]:
    command = (*CELERY, f"--hostname={number}@%h")
    log_path = folder / f"worker{number}.log"
    with Process(command, environment=environment, log_path=log_path, cwd=folder) as worker:
        if core is not None:
            os.sched_setaffinity(worker.pid, {core})
        yield worker


def _summarize(screenings: Sequence[Screening]) -> SharedWork:
    errors = {one.error for one in screenings}
    assert {one.outcome for one in screenings} == {RunOutcome.SCREENED}, errors
    ends = [one.finished_at for one in screenings if one.finished_at is not None]
    return SharedWork(
        wall_s=(max(ends) - min(one.started_at for one in screenings)).total_seconds(),
        screened=len(screenings),
        screened_twice=len(screenings) - len({one.series_id for one in screenings}),
        by_worker=tuple(
            sum(one.leased_by == name for one in screenings)
            for name in sorted({one.leased_by for one in screenings})
        ),
    )


def measure(count: int, folder: Path, *, pin: bool) -> dict[int, SharedWork]:
    """Screen the same ``count`` series with one and with two workers."""
    fill_spool(folder / "spool", count, folder / "series")
    model_dir = make_untrained_package(folder / "model")
    found: dict[int, SharedWork] = {}
    with Postgres() as postgres, Valkey() as broker:
        for workers in (1, 2):
            name = f"workers_{workers}"
            postgres.execute(f"CREATE DATABASE {name}")
            upgrade(postgres.url_of(name), folder)
            with redis.Redis.from_url(broker.url) as client:
                client.flushall()
            settings = {
                "DATABASE_URL": postgres.url_of(name),
                "BROKER_URL": broker.url,
                "SPOOL_DIR": folder / "spool",
                "MODEL_DIR": model_dir,
                "HOST": "127.0.0.1",
                "PORT": free_port(),
                "QUIET_SECONDS": 1,
                "MIN_FREE_MB": 1,
                "SWEEP_SECONDS": 5,
                "DESTINATIONS": [],
            }
            cores = [*range(workers)] if pin else [None] * workers
            found[workers] = share(settings, count, folder / name, cores)
            shutil.rmtree(folder / "spool" / "results")
    return found


def main() -> None:
    """Measure; print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--pin", action="store_true", help="bind each worker to one core")
    parser.add_argument("--folder", type=Path, default=DISK_FOLDER, help="folder for the spool")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-bench-", dir=arguments.folder))
    load_before = os.getloadavg()[0]
    try:
        found = measure(arguments.series, folder, pin=arguments.pin)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for workers, one in found.items():
        shares = " + ".join(map(str, one.by_worker))
        print(
            f"{workers} worker{'s' if workers > 1 else ' '} {one.wall_s:8.1f} s, "
            f"{one.screened} screenings ({shares}), {one.screened_twice} twice"
        )
    print(describe_load(load_before))
    report = {
        "series": arguments.series,
        "pinned": arguments.pin,
        "one_worker_s": round(found[1].wall_s, 1),
        "two_workers_s": round(found[2].wall_s, 1),
        "share_of_time": round(found[2].wall_s / found[1].wall_s, 2),
        "screened_twice": found[1].screened_twice + found[2].screened_twice,
        "load_before": round(load_before, 1),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
