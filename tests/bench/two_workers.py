"""``python -m tests.bench.two_workers``: 200 queued series, by one worker process and by two.

One spool, one PostgreSQL, one Redis. The workers are ready and idle; then a Storage SCP finds
the series in the spool, registers and publishes them far faster than they are screened. Wall
time from the first start of a screening to the last end of one. ``--pin`` gives each worker a
core of its own, so that a second worker is a second core; without it one may use them all.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import redis
from pydicom import dcmread
from sqlalchemy import func, select

from db.models import Screening, Series
from db.session import make_engine, make_sessions
from db.spool import SeriesKey, instance_path
from db.states import RunOutcome
from deploy.embedded import Postgres, Redis, free_port
from deploy.processes import CELERY, STORESCP, Process
from tests.conftest import upgrade, wait_until_ready
from tests.model_factory import make_untrained_package
from tests.series import copy_series, simulate_quick
from tests.servers import child_environment, wait_for, wait_until_listening

FOLDER = Path("/var/tmp")  # noqa: S108 - not /tmp: that may be memory, and fsync free there
PATIENCE_SECONDS = 3600.0
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Shared:
    """What became of the series. ``by_worker`` : screenings of each process."""

    wall_s: float
    screened: int
    screened_twice: int
    by_worker: tuple[int, ...]


def fill_spool(spool_dir: Path, count: int, folder: Path) -> None:
    """So many small series of one simulated patient, each in a study of its own."""
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
) -> Shared:
    """Have the ``count`` series of a spool screened by one worker a core (None: any core).

    ``settings`` : of all processes; the database is new.
    """
    folder.mkdir()
    environment = child_environment(settings)
    with ExitStack() as stack:
        workers = []
        for number, core in enumerate(cores):
            command = (*CELERY, f"--hostname={number}@%h")
            log_path = folder / f"worker{number}.log"
            worker = Process(command, environment=environment, log_path=log_path, cwd=folder)
            workers.append(stack.enter_context(worker))
            if core is not None:
                os.sched_setaffinity(worker.pid, {core})
        for worker in workers:
            wait_until_ready(worker)
        scp = Process(
            STORESCP, environment=environment, log_path=folder / "scp.log", cwd=folder
        )
        wait_until_listening(stack.enter_context(scp), int(str(settings["PORT"])))
        engine = make_engine(str(settings["DATABASE_URL"]), application_name="bench")
        stack.callback(engine.dispose)
        sessions = make_sessions(engine)

        def finished() -> bool:
            running = [one for one in workers if not one.running]
            assert not running, running[0].log
            time.sleep(POLL_SECONDS)  # the question, too, takes from the workers
            with sessions() as session:
                done = select(func.count(func.distinct(Screening.series_id))).where(
                    Screening.finished_at.is_not(None)
                )
                return session.scalar(done) == count

        wait_for(finished, f"{count} series", PATIENCE_SECONDS)
        with sessions() as session:
            runs = session.scalars(select(Screening)).all()
            on_record = session.scalar(select(func.count()).select_from(Series))
    assert on_record == count
    assert {run.outcome for run in runs} == {RunOutcome.SCREENED}, {run.error for run in runs}
    ends = [run.finished_at for run in runs if run.finished_at is not None]
    return Shared(
        wall_s=(max(ends) - min(run.started_at for run in runs)).total_seconds(),
        screened=len(runs),
        screened_twice=len(runs) - len({run.series_id for run in runs}),
        by_worker=tuple(
            sum(run.leased_by == name for run in runs)
            for name in sorted({run.leased_by for run in runs})
        ),
    )


def main() -> None:
    """Measure, print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--pin", action="store_true", help="a core for each worker")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the spool is")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-bench-", dir=arguments.folder))
    load_before = os.getloadavg()[0]
    found: dict[int, Shared] = {}
    try:
        fill_spool(folder / "spool", arguments.series, folder / "series")
        model_dir = make_untrained_package(folder / "model")
        with ExitStack() as stack:
            postgres = stack.enter_context(Postgres())
            broker = stack.enter_context(Redis())
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
                cores = range(workers) if arguments.pin else [None] * workers
                found[workers] = share(settings, arguments.series, folder / name, [*cores])
                shutil.rmtree(folder / "spool" / "results")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for workers, one in found.items():
        shares = " + ".join(map(str, one.by_worker))
        print(
            f"{workers} worker{'s' if workers > 1 else ' '} {one.wall_s:8.1f} s, "
            f"{one.screened} screenings ({shares}), {one.screened_twice} twice"
        )
    print(f"{os.cpu_count()} cores; load average before: {load_before:.1f} (others included)")
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
