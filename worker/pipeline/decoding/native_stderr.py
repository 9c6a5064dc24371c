"""Capture of what native code writes to the standard error stream."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from threading import Lock

STDERR = 2
_LOCK = Lock()


@contextmanager
def captured_stderr() -> Iterator[list[bytes]]:
    """Yield a list that holds the lines written to file descriptor 2 after the block.

    The descriptor belongs to the whole process: one block runs at a time, and the caller passes
    on with ``forward`` what is not of its native code.
    """
    lines: list[bytes] = []
    with _LOCK, TemporaryFile() as file:
        try:
            saved = os.dup(STDERR)
        except OSError:  # closed, as in some daemons
            yield lines
            return
        os.dup2(file.fileno(), STDERR)
        try:
            yield lines
        finally:
            os.dup2(saved, STDERR)
            os.close(saved)
            file.seek(0)
            lines += file.read().splitlines()


def forward(lines: list[bytes]) -> None:
    """Write captured lines to the standard error stream."""
    for line in lines:
        os.write(STDERR, line + b"\n")
