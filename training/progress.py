"""Progress bars of the long commands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Bars:
    """One bar a step, lines above them; a context manager."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar of ``total`` parts; the callable says how many more are done."""
        task = self._progress.add_task(name, total=total)
        yield lambda parts: self._progress.advance(task, parts)

    def say(self, text: str) -> None:
        """One line above the bars."""
        self._progress.console.print(text, highlight=False)
