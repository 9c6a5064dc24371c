"""Parallel production of files; existing files are not produced again."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from training.quiet import import_quietly

Item = TypeVar("Item")


def make_all(
    jobs: Sequence[tuple[Path, Item]],
    make: Callable[[Path, Item], None],
    *,
    workers: int,
    advance: Callable[[Item], None] = lambda item: None,
    imports: str = "numpy",
) -> None:
    """Call ``make(path, item)`` for every path that does not exist, in ``workers`` processes.

    ``make`` must write to another name and rename the file into place. ``advance`` is called
    with every item that is done, also with those of an earlier run. An exception in ``make``
    ends the run; finished files stay, so that the next run continues. ``imports`` : module
    that each process imports first, without its messages.
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
    with ProcessPoolExecutor(workers, get_context("spawn"), import_quietly, (imports,)) as pool:
        running = {pool.submit(_make_one, make, path, item): item for path, item in missing}
        for job in as_completed(running):
            job.result()
            advance(running[job])


def _make_one(make: Callable[[Path, Item], None], path: Path, item: Item) -> None:
    """Call ``make`` with one BLAS thread.

    More threads would compete with the other processes for cores, and the way in which a
    product is split among threads changes its last digit.
    """
    with threadpool_limits(1, user_api="blas"):
        make(path, item)
