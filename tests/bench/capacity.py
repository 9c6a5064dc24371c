"""``python -m tests.bench.capacity``: waiting times of a hospital's day by number of workers.

Studies arrive by a Poisson process with the rate of the hour. A study that is complete waits
for a free worker, first in, first out; a worker screens one study at a time on one core. The
time of a screening is the measured one, spread as a log-normal distribution. Prints, for each
number of studies a day and of workers, the share of time in which the workers are busy and the
waiting times, then JSON. Nothing is started; the costs are options.
"""

import argparse
import heapq
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

SEED = 4
DAYS = 20
HOUR_SECONDS = 3600.0
STUDIES = (100, 1_000, 10_000)
PROFILE = (
    *(1.2, 1.0, 0.9, 0.8, 0.9, 1.1, 2.0, 4.0, 7.0, 8.5, 9.0, 8.5),
    *(7.0, 7.5, 8.0, 7.5, 6.0, 4.5, 3.5, 3.0, 2.6, 2.2, 1.8, 1.5),
)
"""Share of a day's studies by hour, %: an assumption (63 % between 8 and 16 h, 9 % in the
busiest hour). Replace it by the counts of your own PACS: ``--profile``."""
TARGET_SECONDS = 60.0
"""A number of workers suffices if 95 % of the studies wait no longer than this."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Measured cost of a study (``python -m tests.bench.study``).

    ``screening_seconds`` : CPU time of the worker, median. ``spread`` : standard deviation of
    its logarithm; 0.5 means that 5 % take longer than 2.3 times the median.
    """

    screening_seconds: float
    spread: float = 0.5

    @property
    def mean_seconds(self) -> float:
        """Mean of the log-normal distribution."""
        return self.screening_seconds * math.exp(self.spread**2 / 2)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Result of a simulation; times in seconds from completion to the start of screening."""

    studies: int
    workers: int
    busy: float
    median: float
    p95: float
    longest: float


def arrivals(
    studies_a_day: float,
    days: int,
    profile: Sequence[float],
    generator: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Return the times of arrival, s, in ascending order.

    ``profile`` : relative rate of each hour of a day.
    """
    hours = np.tile(np.asarray(profile, dtype=np.float64), days)
    counts = generator.poisson(hours / sum(profile) * studies_a_day)
    starts = np.repeat(np.arange(hours.size) * HOUR_SECONDS, counts)
    return np.sort(starts + generator.uniform(0, HOUR_SECONDS, starts.size))


def waiting_times(
    arrived: npt.NDArray[np.float64], service: npt.NDArray[np.float64], workers: int
) -> npt.NDArray[np.float64]:
    """Return the wait of each study, s: first in, first out, to the first free worker."""
    free_at = [0.0] * workers
    waits = np.empty(arrived.size)
    for number, (at, seconds) in enumerate(zip(arrived, service, strict=True)):
        start = max(at, heapq.heappop(free_at))
        heapq.heappush(free_at, start + seconds)
        waits[number] = start - at
    return waits


def simulate(
    studies: int,
    workers: int,
    cost: Cost,
    *,
    profile: Sequence[float] = PROFILE,
    days: int = DAYS,
    seed: int = SEED,
) -> Waiting:
    """Simulate days of a hospital with a number of workers."""
    generator = np.random.default_rng(seed)
    arrived = arrivals(studies, days, profile, generator)
    service = cost.screening_seconds * generator.lognormal(0.0, cost.spread, arrived.size)
    waits = waiting_times(arrived, service, workers)
    median, p95 = np.percentile(waits, (50, 95))
    busy = service.sum() / (workers * days * 24 * HOUR_SECONDS)
    return Waiting(studies, workers, float(busy), float(median), float(p95), float(waits.max()))


def fewest_workers(studies: int, cost: Cost, profile: Sequence[float] = PROFILE) -> int:
    """Return the lowest number of workers whose busiest hour they can do."""
    busiest = studies * max(profile) / sum(profile)
    return max(1, math.ceil(busiest * cost.mean_seconds / HOUR_SECONDS))


def sizes(cost: Cost, profile: Sequence[float] = PROFILE) -> list[Waiting]:
    """Return simulations from one worker too few to one more than suffices."""
    found = []
    for studies in STUDIES:
        workers = max(1, fewest_workers(studies, cost, profile) - 1)
        found.append(simulate(studies, workers, cost, profile=profile))
        while found[-1].p95 > TARGET_SECONDS:
            workers += 1
            found.append(simulate(studies, workers, cost, profile=profile))
        found.append(simulate(studies, workers + 1, cost, profile=profile))
    return found


def table(rows: Sequence[Waiting]) -> str:
    """Return the simulations as a table in Markdown."""
    lines = [
        "| studies a day | workers | busy | median wait | 95 % wait less than | longest wait |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = " | ".join(_duration(one) for one in (row.median, row.p95, row.longest))
        lines.append(f"| {row.studies:,} | {row.workers} | {row.busy:.0%} | {times} |")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def main() -> None:
    """Simulate; print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screening-seconds", type=float, default=MEASURED.screening_seconds)
    parser.add_argument("--spread", type=float, default=MEASURED.spread)
    parser.add_argument(
        "--profile",
        type=lambda text: tuple(map(float, text.split(","))),
        default=PROFILE,
        metavar="24 NUMBERS",
        help="studies of each hour of a day, separated by commas",
    )
    arguments = parser.parse_args()
    if len(arguments.profile) != 24 or min(arguments.profile) < 0 or not sum(arguments.profile):
        parser.error("--profile: expected 24 numbers, not all 0")
    cost = Cost(arguments.screening_seconds, arguments.spread)
    rows = sizes(cost, arguments.profile)
    print(table(rows))
    report: Mapping[str, object] = {
        "cost": asdict(cost),
        "profile": arguments.profile,
        "days": DAYS,
        "rows": [asdict(one) for one in rows],
    }
    print(json.dumps(report))


MEASURED = Cost(screening_seconds=1.82)
"""``python -m tests.bench.study --size 256``, a study of six series (docs/decisions/0029)."""
CAUTIOUS = Cost(screening_seconds=20.0)
"""Assumption: three large series are tried (``STUDY_MAX_SERIES``) on a slow core."""


if __name__ == "__main__":
    main()
