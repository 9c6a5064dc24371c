"""``python -m tests.soak --series 2000``: series through the whole system while it is killed.

Storage SCP, worker, Redis (with and without its data) and PostgreSQL get a SIGKILL every few
seconds, one at a time, and are started again. Most series are screened, some are rejected, some
come by several associations, of some the last slices come late. At the end nothing may be lost
and nothing doubled (``tests/faults/invariants.py``). Prints progress, JSON last; exit 1 where
something is wrong.
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
from deploy.processes import Process
from tests.faults.hospital import Hospital, running_hospital
from tests.faults.quick import QuickSeries, make_quick_series
from tests.servers import wait_for

FOLDER = Path("/var/tmp")  # noqa: S108 - not /tmp: that may be memory
SENDERS = 3
AHEAD = 40  # series that wait at the most: no use to fill the disk before the worker looks
DOWN_SECONDS = (0.0, 2.0)
WORK_SECONDS = 60.0  # a worker imports TensorFlow for long: let it do something, too
PROGRESS_SECONDS = 5.0
TOO_FEW = slice(0, 6)
LATE = slice(-2, None)


@dataclass
class Chaos(threading.Thread):
    """Kills one part at a time, and starts it again."""

    hospital: Hospital
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
        """End when all that was killed is up again; raises what has gone wrong."""
        self._stopped.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _pause(self) -> None:
        time.sleep(self.rng.uniform(*DOWN_SECONDS))

    def _kill_scp(self) -> bool:
        self.hospital.scp.kill()
        self._pause()
        self.hospital.start_scp()
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
        self.hospital.redis.kill()
        self._pause()
        self.hospital.redis.start()
        return True

    def _empty_redis(self) -> bool:
        with redis.Redis.from_url(self.hospital.redis.url) as client:
            client.flushall()
        return self._kill_redis()

    def _kill_postgres(self) -> bool:
        self.hospital.postgres.kill()
        self._pause()
        self.hospital.postgres.start()
        return True


@dataclass
class Modalities:
    """Senders that send again until all is acknowledged."""

    hospital: Hospital
    quick: QuickSeries
    folder: Path
    end: float
    sent: Counter[str] = field(default_factory=Counter)
    waiting: int = 0

    def send(self, number: int, kind: str) -> None:
        """One series in the way of ``kind``."""
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
        while not self.hospital.send(paths):
            self.sent["sent again"] += 1
            time.sleep(0.5)


def kind_of(number: int) -> str:
    """Of ten series three are rejected, one comes late, one in parallel."""
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
    say: Callable[[str], object] = print,
) -> dict[str, Any]:
    """The whole soak; the report. After so many minutes no more series are sent."""
    with ExitStack() as stack:
        hospital = stack.enter_context(running_hospital(folder, QUIET_SECONDS=2))
        hospital.start_scp()
        hospital.start_worker(wait=False)
        others = [hospital.another_worker(number) for number in range(2, workers + 1)]
        for other in others:
            stack.enter_context(other)
        start = time.monotonic()
        quick = make_quick_series(folder / "quick")
        modalities = Modalities(hospital, quick, folder / "in", start + minutes * 60)
        chaos = Chaos(
            hospital,
            [hospital.worker, *others],
            every_seconds,
            random.Random(seed),  # noqa: S311
        )
        chaos.start()
        try:
            _send_all(modalities, chaos, series, say)
        finally:
            chaos.stop()
        hospital.wait_until_all_ended(seconds=600)
        seconds = time.monotonic() - start
        return _report(hospital, modalities, chaos) | {"seconds": round(seconds, 1)}


def _send_all(
    modalities: Modalities, chaos: Chaos, series: int, say: Callable[[str], object]
) -> None:
    hospital, numbers = modalities.hospital, itertools.count()

    def sender() -> None:
        while (number := next(numbers)) < series:
            while modalities.waiting > AHEAD and time.monotonic() < modalities.end:
                time.sleep(0.2)
            if time.monotonic() > modalities.end:
                return
            modalities.send(number, kind_of(number))

    with ThreadPoolExecutor(SENDERS) as pool:
        futures = [pool.submit(sender) for _ in range(SENDERS)]
        try:
            while not all(future.done() for future in futures) or modalities.waiting:
                with suppress(DBAPIError):  # just killed
                    modalities.waiting = len(hospital.unfinished())
                ended = len(hospital.acknowledged.series) - modalities.waiting
                kills = ", ".join(f"{name} {count}" for name, count in chaos.kills.items())
                say(f"{ended} of {series} ended, {modalities.waiting} under way; {kills}")
                time.sleep(PROGRESS_SECONDS)
        finally:
            modalities.end = 0.0  # nobody sends any more, whatever has happened
        for future in futures:
            future.result()


def _report(hospital: Hospital, modalities: Modalities, chaos: Chaos) -> dict[str, Any]:
    # The SCP removes leftovers of a killed one at its next start: the last kill was before.
    wait_for(lambda: not list((hospital.spool_dir / "incoming").iterdir()), "incoming", 60)
    found = hospital.violations()
    kinds = Counter(one.kind for one in found)
    histories = [
        hospital.record.history(key.series_instance_uid) for key in hospital.acknowledged.series
    ]
    runs = Counter(run.outcome for history in histories for run in history.screenings)
    states = Counter(history.series.state for history in histories)
    return {
        "series": len(histories),
        "instances": len(hospital.acknowledged.digests),
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
    """Run, print the report as JSON; 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--minutes", type=float, default=1440.0, help="send no longer")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to store")
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
