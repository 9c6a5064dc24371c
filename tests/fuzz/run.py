"""Feed targets with inputs, and watch what the process holds meanwhile."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.stow import Requests
from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.watch import Held, Uncaught, held, wait_until_let_go
from tests.fuzz.wire import Associations

MAX_GROWTH_MB = 24.0
# Shares of all inputs; an association costs as much as a thousand command sets.
SHARES = {
    "command sets": 0.25,
    "fragments": 0.25,
    "data sets": 0.31,
    "file headers": 0.08,
    "receptions": 0.04,
    "uploads": 0.02,
    "loaded series": 0.02,
    "requests": 0.02,
    "associations": 0.01,
}
ALL: Sequence[Callable[[Path], Target]] = (*TARGETS, Requests, Associations)


@dataclass(frozen=True)
class Result:
    """What became of one target."""

    name: str
    inputs: int
    seconds: float
    growth_mb: float
    before: Held
    after: Held


class Broken(AssertionError):
    """An input that breaks a target; the seed makes it again."""


def fuzz(make: Callable[[Path], Target], folder: Path, inputs: int, seed: int) -> Result:
    """Feed so many inputs; raises Broken or AssertionError where something must not be."""
    before = held()
    target = make(folder)
    start = time.perf_counter()
    with Uncaught() as uncaught:
        warm = held()
        for number in range(inputs):
            try:
                target.feed(random.Random(f"{seed} {number}"))  # noqa: S311
            except Exception as error:
                raise Broken(f"{target.name}: seed {seed}, input {number}") from error
            if number == inputs // 4:
                warm = held()  # caches are filled by now
        seconds = time.perf_counter() - start
        target.end()
        assert not uncaught.found, uncaught.found[:3]
    name = target.name
    del target
    after = wait_until_let_go(before)
    growth = after.megabytes - warm.megabytes
    assert growth < MAX_GROWTH_MB, f"{name}: {growth:.0f} MB more than after a quarter"
    return Result(name, inputs, seconds, growth, before, after)


def fuzz_all(folder: Path, inputs: int, seed: int, say: Callable[[str], Any]) -> list[Result]:
    """All targets, each with its share of the inputs."""
    results = []
    for make in ALL:
        name = str(make.name)  # type: ignore[attr-defined]
        place = folder / name.replace(" ", "-")
        place.mkdir(parents=True)
        result = fuzz(make, place, max(1, round(inputs * SHARES[name])), seed)
        say(
            f"{name:15s} {result.inputs:7d} inputs {result.seconds:7.1f} s "
            f"{result.growth_mb:+6.1f} MB, descriptors {result.before.descriptors} → "
            f"{result.after.descriptors}, threads {result.before.threads} → "
            f"{result.after.threads}"
        )
        results.append(result)
    return results
