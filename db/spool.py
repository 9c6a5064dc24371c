"""The record on disk: instances as received, and results. It is the journal of intake.

    <spool>/incoming/                              files that are still being written
    <spool>/<study>/<series>/<sop>.dcm             instances, as received
    <spool>/results/<study>/<series>/r<revision>/  sr.dcm, sc.dcm, sc.png, result.json

A file appears under its final name whole and durable, or not at all.
"""

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from db.incoming import Incoming, fsync_folder

INCOMING = "incoming"
RESULTS = "results"
INSTANCE_SUFFIX = ".dcm"
MAX_UID_LENGTH = 64  # PS3.5 9.1
KNOWN_FOLDERS_LIMIT = 10_000
FOLDER_MODE = 0o750  # patients' images: for the service and its group only

T = TypeVar("T")

# PS3.5 9.1: components of digits, separated by dots. A leading zero in a component is against
# the standard, but devices send it and it is harmless in a path, so it is let in.
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)


class InvalidUid(ValueError):
    """A value that must not become a part of a path."""


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """The UIDs that name a series and its folder; only valid ones can be held."""

    study_instance_uid: str
    series_instance_uid: str

    def __post_init__(self) -> None:
        check_uid(self.study_instance_uid)
        check_uid(self.series_instance_uid)


def is_valid_uid(value: str) -> bool:
    """Digits and dots, at most 64 characters, no empty component (PS3.5 9.1)."""
    return len(value) <= MAX_UID_LENGTH and _UID.fullmatch(value) is not None


def check_uid(value: str) -> str:
    """The UID itself; raises InvalidUid."""
    if not is_valid_uid(value):
        raise InvalidUid(f"not a UID: {value[: MAX_UID_LENGTH + 1]!r}")
    return value


def series_folder(spool_dir: Path, key: SeriesKey) -> Path:
    """Where the instances of a series are."""
    return spool_dir / key.study_instance_uid / key.series_instance_uid


def instance_path(spool_dir: Path, key: SeriesKey, sop_instance_uid: str) -> Path:
    """Where an instance is, or will be; raises InvalidUid."""
    return series_folder(spool_dir, key) / (check_uid(sop_instance_uid) + INSTANCE_SUFFIX)


def results_folder(spool_dir: Path, key: SeriesKey, revision: int) -> Path:
    """Where the results of a revision are, or will be."""
    study, series = key.study_instance_uid, key.series_instance_uid
    return spool_dir / RESULTS / study / series / f"r{revision}"


def list_series(spool_dir: Path) -> Iterator[tuple[SeriesKey, int]]:
    """Every series in the spool with its folder's modification time in ns."""
    for study in _folders(spool_dir):
        for series in _folders(Path(study.path)):
            yield SeriesKey(study.name, series.name), series.stat().st_mtime_ns


def list_instances(spool_dir: Path, key: SeriesKey) -> tuple[Path, ...]:
    """The files of a series, sorted by name; empty when there are none."""
    try:
        names = os.listdir(series_folder(spool_dir, key))
    except FileNotFoundError:
        return ()
    folder = series_folder(spool_dir, key)
    return tuple(folder / name for name in sorted(names) if name.endswith(INSTANCE_SUFFIX))


def remove_series(spool_dir: Path, key: SeriesKey, *, before: datetime) -> None:
    """Delete the instances of a series that were written before then, and empty folders.

    File by file: one that arrives meanwhile has been acknowledged and stays. Results stay.
    """
    folder = series_folder(spool_dir, key)
    for path in list_instances(spool_dir, key):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
    try:
        folder.rmdir()
        folder.parent.rmdir()
    except OSError:
        return  # something else is there, or it is gone already


def free_bytes(spool_dir: Path) -> int:
    """What an unprivileged process may still write."""
    stat = os.statvfs(spool_dir)
    return stat.f_bavail * stat.f_frsize


def clean_incoming(spool_dir: Path) -> int:
    """Delete what writers that died have left in ``incoming``; returns how many.

    A living writer holds a lock on its file, so that a second process may clean at any time.
    """
    removed = 0
    for entry in list((spool_dir / INCOMING).glob("*")):
        with entry.open("rb") as leftover:
            try:
                fcntl.flock(leftover, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            entry.unlink(missing_ok=True)
            removed += 1
    return removed


@dataclass(slots=True)
class SpoolWriter:
    """Writes files into one spool, whole and durable; shared by all threads of a process.

    ``_durable`` remembers folders whose own entry is known to be on disk, so that only the
    first file of a folder pays for the fsync of its parents.
    """

    spool_dir: Path
    _durable: set[Path] = field(default_factory=set)

    def prepare(self) -> None:
        """Make the spool and its ``incoming``, to find out at the start that it cannot be."""
        self._make_folder(self.spool_dir / INCOMING)
        for folder in (self.spool_dir, self.spool_dir / INCOMING):
            if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    def open(self) -> Incoming:
        """A new file in ``incoming``, for ``commit``; raises OSError."""
        folder = self.spool_dir / INCOMING
        return self._within(folder, lambda: Incoming(folder))

    def commit(self, incoming: Incoming, path: Path) -> None:
        """Move a whole file to ``path`` below the spool, replacing one that is there.

        fsync → rename → fsync of the folder and of new parents: when this returns, the file
        survives a power cut. Raises OSError; the file is still the caller's to discard then.
        """

        def flush_and_move() -> None:
            incoming.flush()
            incoming.move(path)

        folder = path.parent
        self._within(folder, flush_and_move)
        fsync_folder(folder)

    def write(self, path: Path, parts: Iterable[bytes | memoryview]) -> None:
        """Write a file at ``path`` below the spool, as ``commit`` does.

        Raises OSError and leaves nothing behind.
        """
        incoming = self.open()
        try:
            for part in parts:
                incoming.write(part)
            self.commit(incoming, path)
        finally:
            incoming.discard()

    def confirm(self, path: Path) -> None:
        """Make the entry of a file that is there durable: its writer may not have yet."""
        self._make_folder(path.parent)
        fsync_folder(path.parent)

    def _within(self, folder: Path, act: Callable[[], T]) -> T:
        """Make a folder, unless it is remembered, and do something in it.

        Once more where it was removed (retention) meanwhile: cheaper than to look each time.
        """
        self._make_folder(folder)
        try:
            return act()
        except FileNotFoundError:
            self._durable.difference_update((folder, *folder.parents))
            self._make_folder(folder)
            return act()

    def _make_folder(self, folder: Path) -> None:
        if folder in self._durable:
            return
        if folder == self.spool_dir:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            return
        self._make_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        # Also when another thread or process made it: that one may not have come to its fsync
        # yet, and our file must not be acknowledged before its folder is durable.
        fsync_folder(folder.parent)
        if len(self._durable) >= KNOWN_FOLDERS_LIMIT:
            self._durable.clear()
        self._durable.add(folder)


def _folders(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Sub-folders whose name is a UID: neither ``incoming`` nor ``results`` nor strangers."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if is_valid_uid(entry.name) and entry.is_dir(follow_symlinks=False):
                yield entry
