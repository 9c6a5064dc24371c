"""Durable, atomic writes to the spool."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from common.spool.incoming import Incoming, fsync_folder
from common.spool.layout import INCOMING

KNOWN_FOLDERS_LIMIT = 10_000
FOLDER_MODE = 0o750  # patient data: accessible to the service and its group only

T = TypeVar("T")


def clean_incoming(spool_dir: Path, *, min_age_seconds: float = 0.0) -> int:
    """Delete the files of dead writers in ``incoming`` and return their number.

    A living writer holds a lock on its file. ``min_age_seconds`` : time since the last write;
    more than 0 while others write, who lock a file just after they have created it.
    """
    removed = 0
    newest = time.time() - min_age_seconds
    for entry in list((spool_dir / INCOMING).glob("*")):
        # Moved or discarded meanwhile, in use, or of another user.
        errors = FileNotFoundError, BlockingIOError, PermissionError
        with suppress(*errors), entry.open("rb") as leftover:
            if os.fstat(leftover.fileno()).st_mtime > newest:
                continue
            fcntl.flock(leftover, fcntl.LOCK_EX | fcntl.LOCK_NB)
            entry.unlink()
            removed += 1
    return removed


@dataclass(slots=True)
class SpoolWriter:
    """Writer of complete, durable files to one spool; shared by all threads of a process.

    ``_durable`` holds the folders whose directory entry is known to be on disk, so that only
    the first file of a folder costs an fsync of its parents.
    """

    spool_dir: Path
    _durable: set[Path] = field(default_factory=set)

    def prepare(self) -> None:
        """Create the spool and ``incoming``; raise OSError unless both are writable."""
        self._create_folder(self.spool_dir / INCOMING)
        for folder in (self.spool_dir, self.spool_dir / INCOMING):
            if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    def open(self) -> Incoming:
        """Return a new file in ``incoming``, for ``commit``; raise OSError on failure."""
        folder = self.spool_dir / INCOMING
        return self._within(folder, lambda: Incoming(folder))

    def commit(self, incoming: Incoming, path: Path) -> None:
        """Move a complete file to ``path`` in the spool, replacing an existing file.

        fsync → rename → fsync of the folder and of new parents: after the return, the file
        survives a power failure. Raises OSError; the caller then has to discard the file.
        """

        def flush_and_move() -> None:
            incoming.flush()
            incoming.move(path)

        folder = path.parent
        self._within(folder, flush_and_move)
        fsync_folder(folder)

    def write(self, path: Path, parts: Iterable[bytes | memoryview]) -> None:
        """Write a durable file at ``path`` in the spool.

        Raises OSError and leaves no partial file.
        """
        incoming = self.open()
        try:
            for part in parts:
                incoming.write(part)
            self.commit(incoming, path)
        finally:
            incoming.discard()

    def confirm(self, path: Path) -> None:
        """Make the directory entry of an existing file durable; its writer may not have yet."""
        self._create_folder(path.parent)
        fsync_folder(path.parent)

    def _within(self, folder: Path, action: Callable[[], T]) -> T:
        """Create a folder unless it is known to exist, and run ``action``.

        Repeats both once if retention has removed the folder; cheaper than a check each time.
        """
        self._create_folder(folder)
        try:
            return action()
        except FileNotFoundError:
            self._durable.difference_update((folder, *folder.parents))
            self._create_folder(folder)
            return action()

    def _create_folder(self, folder: Path) -> None:
        if folder in self._durable:
            return
        if folder == self.spool_dir:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            return
        self._create_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        # Even if another thread or process created it: its fsync may be pending, and a file
        # must not be acknowledged before its folder is durable.
        fsync_folder(folder.parent)
        if len(self._durable) >= KNOWN_FOLDERS_LIMIT:
            self._durable.clear()
        self._durable.add(folder)
