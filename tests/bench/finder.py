"""``python -m tests.bench.finder``: accuracy of the finder on volumes with known femurs.

Three parts: ``suite`` (simulated volumes of the full range, a third without hips), ``stress``
(single cases with an expected result each) and ``real`` (CT from the folder of
``tests/support/real_ct.py``; omitted without it). Prints a table and every failure by name,
JSON last. ``--cache`` keeps the rendered volumes, so that a second run takes the time of the
finder only. Empty the cache after a change of the simulator.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.bench import finder_plot, finder_real, finder_stress, finder_table
from tests.bench.finder_cases import Case, plan, volume_of
from tests.bench.finder_measure import Outcome, known_hips, measure
from tests.support.real_ct import FOLDER, HAS_REAL_CT
from training.progress import ProgressBars
from training.simulate.truth import truth

HELD_OUT_SEED = 7777
"""Tune the finder on other seeds."""
COUNT = 300
PARTS = ("suite", "stress", "real")

Task = Callable[[], Outcome]


def run_case(case: Case, cache: Path | None) -> Outcome:
    """Render one simulated volume, or read it from the cache, and find its femurs."""
    volume = volume_of(case, cache)
    hips = known_hips(volume, truth(case.subject))
    return measure(case.name, case.tags, volume, hips)


def run(part: str, tasks: list[Task], jobs: int, bars: ProgressBars) -> list[Outcome]:
    """Run tasks in processes and return their outcomes in the same order."""
    with (
        bars.step(part, len(tasks)) as advance,
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
    ):
        futures: list[Future[Outcome]] = [pool.submit(task) for task in tasks]
        for _ in as_completed(futures):
            advance(1)
    return [future.result() for future in futures]


def tasks_of(part: str, options: argparse.Namespace) -> list[Task]:
    """Return the tasks of a part."""
    if part == "suite":
        cases = plan(options.count, options.seed)
        return [partial(run_case, case, options.cache) for case in cases]
    if part == "stress":
        return [partial(finder_stress.run_case, n, options.cache) for n in finder_stress.CASES]
    if not HAS_REAL_CT:
        return []
    names = finder_real.names()
    return [partial(finder_real.run_case, FOLDER, case, how) for case, how in names]


def print_groups(outcomes: list[Outcome]) -> dict[str, Any]:
    """Print the table of a part and its failures, and return both for JSON."""
    summaries = finder_table.groups(outcomes)
    failures = finder_table.failures(outcomes)
    print(finder_table.table(summaries), *failures, "", sep="\n", flush=True)
    return {
        "groups": {name: asdict(summary) for name, summary in summaries.items()},
        "failures": failures,
    }


def print_stress(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Print a line a stress case, and return the problems for JSON."""
    results = {outcome.name: finder_stress.problems(outcome) for outcome in outcomes}
    for name, found in results.items():
        print(f"{'✗' if found else '✓'} {name}{': ' if found else ''}{'; '.join(found)}")
    return {"cases": len(results), "problems": {n: p for n, p in results.items() if p}}


def main() -> None:
    """Run the parts and print their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="simulated volumes")
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep rendered volumes here")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the errors")
    options = parser.parse_args()
    results: dict[str, Any] = {"seed": options.seed}
    for part in options.parts:
        with ProgressBars() as bars:
            outcomes = run(part, tasks_of(part, options), options.jobs, bars)
        if part == "stress":
            results[part] = print_stress(outcomes)
        elif outcomes:
            results[part] = print_groups(outcomes)
        if part == "suite" and options.plot:
            finder_plot.draw(outcomes, options.plot)
    print(json.dumps(results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
