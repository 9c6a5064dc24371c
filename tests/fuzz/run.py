"""Run the targets and check the resources of the process."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.associations import Associations
from tests.fuzz.foreign_slices import ForeignSlices
from tests.fuzz.identity_mixes import IdentityMixes
from tests.fuzz.resources import Resources, UncaughtExceptions, current, wait_until_released
from tests.fuzz.routes import Bombs, Sizes
from tests.fuzz.stow import Requests
from tests.fuzz.targets import TARGETS, Target

MAX_GROWTH_MB = 24.0
# Shares of all inputs; an association costs as much as a thousand command sets.
SHARES = {
    "command sets": 0.18,
    "PDU streams": 0.18,
    "data sets": 0.22,
    "file headers": 0.055,
    "instances": 0.025,
    "STOW-RS bodies": 0.015,
    "loaded series": 0.015,
    "bombs": 0.07,
    "lies about size": 0.12,
    "foreign slices": 0.02,
    "identity mixes": 0.08,
    "requests": 0.013,
    "associations": 0.007,
}
ALL: Sequence[Callable[[Path], Target]] = (
    *TARGETS, Bombs, Sizes, ForeignSlices, IdentityMixes, Requests, Associations,
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """The result of one target. ``kinds`` : inputs by kind, where its generators have any."""

    name: str
    inputs: int
    seconds: float
    growth_mb: float
    before: Resources
    after: Resources
    kinds: Mapping[str, int]


class Broken(AssertionError):
    """An input broke a target; the seed reproduces it."""


def fuzz(make: Callable[[Path], Target], folder: Path, inputs: int, seed: int) -> Result:
    """Run one target; raises Broken or AssertionError."""
    before = current()
    target = make(folder)
    start = time.perf_counter()
    with UncaughtExceptions() as uncaught:
        warm = current()
        for number in range(inputs):
            try:
                target.feed(random.Random(f"{seed} {number}"))  # noqa: S311
            except Exception as error:
                raise Broken(f"{target.name}: seed {seed}, input {number}") from error
            if number == inputs // 4:
                warm = current()  # caches are full by now
        seconds = time.perf_counter() - start
        target.end()
        assert not uncaught.found, uncaught.found[:3]
    name, kinds = target.name, dict(getattr(target, "counts", {}))
    del target
    after = wait_until_released(before)
    growth = after.megabytes - warm.megabytes
    assert growth < MAX_GROWTH_MB, f"{name}: {growth:.0f} MB more than after a quarter"
    return Result(name, inputs, seconds, growth, before, after, kinds)


def fuzz_all(
    folder: Path, inputs: int, seed: int, report: Callable[[str], Any]
) -> list[Result]:
    """Run all targets, each with its share of the inputs."""
    results = []
    for make in ALL:
        name = str(make.name)  # type: ignore[attr-defined]
        place = folder / name.replace(" ", "-")
        place.mkdir(parents=True)
        result = fuzz(make, place, max(1, round(inputs * SHARES[name])), seed)
        report(
            f"{name:15s} {result.inputs:7d} inputs {result.seconds:7.1f} s "
            f"{result.growth_mb:+6.1f} MB, descriptors {result.before.descriptors} → "
            f"{result.after.descriptors}, threads {result.before.threads} → "
            f"{result.after.threads}"
        )
        for kind, count in sorted(result.kinds.items()):
            report(f"    {kind:30s} {count:7d}")
        results.append(result)
    return results
