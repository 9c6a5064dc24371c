"""Progress bars of long commands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class ProgressBars:
    """Context manager that shows one progress bar per step and text lines above the bars."""

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
        """Show a bar of ``total`` parts; call the yielded function with each number done."""
        task = self._progress.add_task(name, total=total)
        yield lambda parts: self._progress.advance(task, parts)

    def print_line(self, text: str) -> None:
        """Print one line above the bars."""
        self._progress.console.print(text, highlight=False)
