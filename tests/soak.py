"""Soak test: sends series through the whole system while its processes are killed.

Run by ``python -m tests.soak --series 2000``. Storage SCP, worker, Redis (with and without loss
of its data) and PostgreSQL get SIGKILL every few seconds, one at a time, and are restarted.
Most series are screened and some are rejected; some are sent over several associations, and of
some the last slices arrive late. At the end nothing may be lost or duplicated
(``tests/support/invariants.py``). Prints progress lines, then a JSON report; exits 1 if an
invariant is violated.
"""

import argparse
import itertools
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from sqlalchemy.exc import DBAPIError

from db.states import RunOutcome, SeriesState
from deploy.demo.processes import Process
from tests.support.quick_series import QuickSeries, make_quick_series
from tests.support.servers import wait_for
from tests.support.system_under_test import SystemUnderTest, running_system

FOLDER = Path("/var/tmp")  # noqa: S108 - not /tmp: that may be memory
SENDERS = 3
MAX_WAITING = 40  # series in progress at most, so that the disk does not fill up
DOWN_SECONDS = (0.0, 2.0)
WORK_SECONDS = 60.0  # between two kills of a worker: it imports TensorFlow for many seconds
PROGRESS_SECONDS = 5.0
TOO_FEW = slice(0, 6)
LATE = slice(-2, None)


@dataclass
class Chaos(threading.Thread):
    """Thread that kills one process at a time and restarts it."""

    system: SystemUnderTest
    workers: Sequence[Process]
    every_seconds: float
    rng: random.Random
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(name="chaos", daemon=True)
        self._stopped = threading.Event()
        self._since = dict.fromkeys(self.workers, time.monotonic())
        self.error: Exception | None = None
        self._parts: dict[str, Callable[[], bool]] = {
            "scp": self._kill_scp,
            "worker": self._kill_worker,
            "redis": self._kill_redis,
            "redis without its data": self._empty_redis,
            "postgres": self._kill_postgres,
        }

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        try:
            while not self._stopped.wait(self.every_seconds * self.rng.uniform(0.5, 1.5)):
                name = self.rng.choice(list(self._parts))
                if self._parts[name]():
                    self.kills[name] += 1
        except Exception as error:
            self.error = error

    def stop(self) -> None:
        """Stop once all killed processes run again; raises the error of the thread."""
        self._stopped.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _pause(self) -> None:
        time.sleep(self.rng.uniform(*DOWN_SECONDS))

    def _kill_scp(self) -> bool:
        self.system.scp.kill()
        self._pause()
        self.system.start_scp()
        return True

    def _kill_worker(self) -> bool:
        worker = self.rng.choice(self.workers)
        if time.monotonic() - self._since[worker] < WORK_SECONDS:
            return False
        worker.kill()
        self._pause()
        worker.start()
        self._since[worker] = time.monotonic()
        return True

    def _kill_redis(self) -> bool:
        self.system.redis.kill()
        self._pause()
        self.system.redis.start()
        return True

    def _empty_redis(self) -> bool:
        with redis.Redis.from_url(self.system.redis.url) as client:
            client.flushall()
        return self._kill_redis()

    def _kill_postgres(self) -> bool:
        self.system.postgres.kill()
        self._pause()
        self.system.postgres.start()
        return True


@dataclass
class Modalities:
    """Senders that repeat sending until all instances are acknowledged."""

    system: SystemUnderTest
    quick: QuickSeries
    folder: Path
    end: float
    sent: Counter[str] = field(default_factory=Counter)
    waiting: int = 0

    def send(self, number: int, kind: str) -> None:
        """Send one series in the manner of ``kind`` (see ``kind_of``)."""
        folder = self.folder / str(number)
        paths = self.quick.write(folder, TOO_FEW if kind == "rejected" else slice(None))
        if kind == "late":
            self._send_all(paths[: LATE.start])
            time.sleep(random.uniform(0.0, 6.0))  # noqa: S311 - not a secret
            self._send_all(paths[LATE])
        elif kind == "parallel":
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(self._send_all, (paths[n::4] for n in range(4))))
        else:
            self._send_all(paths)
        self.sent[kind] += 1
        shutil.rmtree(folder)

    def _send_all(self, paths: Sequence[Path]) -> None:
        while not self.system.send(paths):
            self.sent["sent again"] += 1
            time.sleep(0.5)


def kind_of(number: int) -> str:
    """Return the kind of a series: of ten, three are rejected, one is late, one is parallel."""
    kinds = {1: "rejected", 3: "rejected", 5: "late", 7: "parallel", 9: "rejected"}
    return kinds.get(number % 10, "whole")


def run(
    folder: Path,
    *,
    series: int,
    every_seconds: float,
    minutes: float = 1440.0,
    workers: int = 1,
    seed: int = 1,
) -> dict[str, Any]:
    """Run the soak test and return its report. ``minutes`` : no series is sent later."""
    with ExitStack() as stack:
        system = stack.enter_context(running_system(folder, QUIET_SECONDS=2))
        system.start_scp()
        system.start_worker(wait=False)
        others = [system.another_worker(number) for number in range(2, workers + 1)]
        for other in others:
            stack.enter_context(other)
        start = time.monotonic()
        quick = make_quick_series(folder / "quick")
        modalities = Modalities(system, quick, folder / "in", start + minutes * 60)
        chaos = Chaos(
            system,
            [system.worker, *others],
            every_seconds,
            random.Random(seed),  # noqa: S311
        )
        chaos.start()
        try:
            _send_all(modalities, chaos, series)
        finally:
            chaos.stop()
        system.wait_until_all_ended(seconds=600)
        seconds = time.monotonic() - start
        return _report(system, modalities, chaos) | {"seconds": round(seconds, 1)}


def _send_all(modalities: Modalities, chaos: Chaos, series: int) -> None:
    system, numbers = modalities.system, itertools.count()

    def sender() -> None:
        while (number := next(numbers)) < series:
            while modalities.waiting > MAX_WAITING and time.monotonic() < modalities.end:
                time.sleep(0.2)
            if time.monotonic() > modalities.end:
                return
            modalities.send(number, kind_of(number))

    with ThreadPoolExecutor(SENDERS) as pool:
        futures = [pool.submit(sender) for _ in range(SENDERS)]
        try:
            while not all(future.done() for future in futures) or modalities.waiting:
                with suppress(DBAPIError):  # PostgreSQL was just killed
                    modalities.waiting = len(system.unfinished())
                ended = len(system.acknowledged.series) - modalities.waiting
                kills = ", ".join(f"{name} {count}" for name, count in chaos.kills.items())
                print(f"{ended} of {series} ended, {modalities.waiting} in progress; {kills}")
                time.sleep(PROGRESS_SECONDS)
        finally:
            modalities.end = 0.0  # stops the senders, also after an error
        for future in futures:
            future.result()


def _report(system: SystemUnderTest, modalities: Modalities, chaos: Chaos) -> dict[str, Any]:
    # At its start the SCP removes leftovers of a killed one; the last restart may be recent.
    wait_for(lambda: not list((system.spool_dir / "incoming").iterdir()), "incoming", 60)
    found = system.violations()
    kinds = Counter(one.kind for one in found)
    histories = [
        system.record.history(key.series_instance_uid) for key in system.acknowledged.series
    ]
    runs = Counter(run.outcome for history in histories for run in history.screenings)
    states = Counter(history.series.state for history in histories)
    return {
        "series": len(histories),
        "instances": len(system.acknowledged.digests),
        "kinds": dict(modalities.sent),
        "kills": dict(chaos.kills),
        "states": {state.value: count for state, count in states.items()},
        "revisions": sum(history.series.revision for history in histories),
        "runs": {outcome.value: runs[outcome] for outcome in RunOutcome if runs[outcome]},
        "failed": states[SeriesState.FAILED],
        "lost": kinds["lost"],
        "duplicated": kinds["doubled"],
        "unfinished": kinds["unfinished"],
        "violations": [one.text for one in found[:20]],
    }


def main() -> int:
    """Run, print the report as JSON; return 1 if an invariant is violated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument(
        "--minutes", type=float, default=1440.0, help="stop sending after this time"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="folder for all files of the run"
    )
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-soak-", dir=arguments.folder))
    try:
        report = run(
            folder,
            series=arguments.series,
            every_seconds=arguments.every,
            minutes=arguments.minutes,
            workers=arguments.workers,
            seed=arguments.seed,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report))
    return 1 if report["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
