"""One run of the soak test and its report."""

import itertools
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.exc import DBAPIError

from tests.soak.chaos import Chaos
from tests.soak.senders import Modalities, SeriesModalities, StudyModalities
from tests.support.servers import wait_for
from tests.support.system_under_test import SystemUnderTest, running_system

SENDERS = 3
MAX_WAITING = 40  # in progress at most, so that the disk does not fill up
PROGRESS_SECONDS = 5.0
SETTINGS: dict[str, dict[str, object]] = {
    "series": {"QUIET_SECONDS": 2},
    "study": {"QUIET_SECONDS": 2, "STUDY_QUIET_SECONDS": 4, "RESULT_PER": "study"},
}


@dataclass(frozen=True)
class Plan:
    """What is sent, and how often a process is killed.

    ``minutes`` : nothing is sent later. ``seed`` : of kinds, orders and kills.
    """

    count: int
    per: Literal["series", "study"] = "series"
    every_seconds: float = 5.0
    minutes: float = 1440.0
    workers: int = 1
    seed: int = 1


def run(folder: Path, plan: Plan) -> dict[str, Any]:
    """Send everything, kill processes meanwhile; return the report."""
    rng = random.Random(plan.seed)  # noqa: S311 - not a secret
    with ExitStack() as stack:
        system = stack.enter_context(running_system(folder, **SETTINGS[plan.per]))
        system.start_scp()
        system.start_worker(wait=False)
        others = [system.another_worker(number) for number in range(2, plan.workers + 1)]
        for other in others:
            stack.enter_context(other)
        start = time.monotonic()
        kind = SeriesModalities if plan.per == "series" else StudyModalities
        modalities = kind(system, folder / "in", rng)
        chaos = Chaos(system, [system.worker, *others], plan.every_seconds, rng)
        chaos.start()
        try:
            _send_all(modalities, chaos, plan)
        finally:
            chaos.stop()
        wait_for(lambda: not modalities.unfinished(), "end of everything", 600)
        seconds = time.monotonic() - start
        return _report(system, modalities, chaos) | {"seconds": round(seconds, 1)}


def _send_all(modalities: Modalities, chaos: Chaos, plan: Plan) -> None:
    numbers = itertools.count()
    waiting = 0
    end = time.monotonic() + plan.minutes * 60

    def sender() -> None:
        while (number := next(numbers)) < plan.count:
            while waiting > MAX_WAITING and time.monotonic() < end:
                time.sleep(0.2)
            if time.monotonic() > end:
                return
            modalities.send(number)

    with ThreadPoolExecutor(SENDERS) as pool:
        futures = [pool.submit(sender) for _ in range(SENDERS)]
        try:
            while not all(future.done() for future in futures) or waiting:
                with suppress(DBAPIError):  # PostgreSQL was just killed
                    waiting = len(modalities.unfinished())
                ended = modalities.count() - waiting
                kills = ", ".join(f"{name} {count}" for name, count in chaos.kills.items())
                print(f"{ended} of {plan.count} ended, {waiting} in progress; {kills}")
                time.sleep(PROGRESS_SECONDS)
        finally:
            end = 0.0  # stops the senders, also after an error
        for future in futures:
            future.result()


def _report(system: SystemUnderTest, modalities: Modalities, chaos: Chaos) -> dict[str, Any]:
    # At its start the SCP removes leftovers of a killed one; the last restart may be recent.
    wait_for(lambda: not list((system.spool_dir / "incoming").iterdir()), "incoming", 60)
    found = modalities.violations()
    kinds = Counter(one.kind for one in found)
    return modalities.report() | {
        "instances": len(system.acknowledged.digests),
        "kinds": dict(modalities.sent),
        "kills": dict(chaos.kills),
        "lost": kinds["lost"],
        "duplicated": kinds["doubled"],
        "unfinished": kinds["unfinished"],
        "violations": [one.text for one in found[:20]],
    }
