"""Work in several processes, a file a piece: what is there is not made again."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")


def make_all(
    jobs: Sequence[tuple[Path, Item]],
    make: Callable[[Path, Item], None],
    *,
    workers: int,
    advance: Callable[[Item], None] = lambda item: None,
) -> None:
    """Call ``make(path, item)`` for every path that does not exist, in ``workers`` processes.

    ``make`` must write its file at once (to another name first). ``advance`` hears of every
    item that is done, now or earlier. An exception in ``make`` ends the run; the files that
    were made stay, so that the next run goes on.
    """
    missing = []
    for path, item in jobs:
        if path.exists():
            advance(item)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            missing.append((path, item))
    if not missing:
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(_make_one, make, path, item): item for path, item in missing}
        for job in as_completed(running):
            job.result()
            advance(running[job])


def _make_one(make: Callable[[Path, Item], None], path: Path, item: Item) -> None:
    """One thread of BLAS: more would fight for the cores of the other processes, and how a
    product is split among threads shows in its last digit."""
    with threadpool_limits(1, user_api="blas"):
        make(path, item)
