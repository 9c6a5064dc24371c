"""Attempts to read the files of the spool, so that no file can end the service for ever.

Before a file is read, its name is noted in ``<spool>/quarantine/reading``. A process that ends
there leaves the note; the next one counts an attempt for that file, and moves it to quarantine
after ``MAX_ATTEMPTS``. The note needs no fsync: it has to survive the process, not the machine.
One registrar reads a spool, so one note is enough.
"""

import json
import os
from collections import Counter
from pathlib import Path

from common.logging import get_logger
from common.spool.layout import SeriesKey
from common.spool.quarantine import quarantine_file, quarantine_folder
from common.spool.writer import FOLDER_MODE, SpoolWriter

READING = "reading"
ATTEMPTS = "attempts.json"
MAX_ATTEMPTS = 3
"""A process may also end by accident: a deployment, or memory that another one has taken."""
NOTE_BYTES = 512  # of three UIDs

log = get_logger(__name__)


class ReadAttempts:
    """Counts the processes that ended while they read a file, by its path in the spool."""

    def __init__(self, spool_dir: Path) -> None:
        self._spool_dir = spool_dir
        self._folder = quarantine_folder(spool_dir)
        self._counts: Counter[str] = Counter()
        self._note = -1
        self._reading = False

    def recover(self) -> None:
        """Count the attempt that ended the last process; call once before ``begin``."""
        try:
            self._recover()
        except OSError as error:  # such as no disk space: the series are registered anyway
            log.error("read_attempts_not_counted", error=error.strerror)

    def _recover(self) -> None:
        self._folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._counts = Counter(_read_counts(self._folder / ATTEMPTS))
        self._note = os.open(
            self._folder / READING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640
        )
        if name := os.fsdecode(os.pread(self._note, NOTE_BYTES, 0).rstrip(b"\0")):
            self._count(name)
        self._write_note("")  # also allocates its space, for the time when the disk is full

    def begin(self, path: Path) -> None:
        """Note that a file is about to be read."""
        if self._note >= 0:
            self._write_note("/".join(path.parts[-3:]))
            self._reading = True

    def end(self, key: SeriesKey) -> None:
        """Note that the process has outlived the files of a series; forget their attempts."""
        if self._reading:
            self._write_note("")
            self._reading = False
        read = [name for name in self._counts if _is_of(name, key)]
        if read:
            for name in read:
                del self._counts[name]
            self._write_counts()

    def quarantine(self, path: Path, reason: str) -> None:
        """Move a file out of the way and report it. ``reason`` : without patient data."""
        try:
            moved = quarantine_file(self._spool_dir, path)
        except FileNotFoundError:
            return  # deleted meanwhile
        log.error(
            "file_quarantined",
            file=str(moved),
            reason=reason,
            remedy="examine the file; delete it, or move it back to be read again",
        )

    def is_suspect(self, key: SeriesKey) -> bool:
        """Return whether a file of the series has ended a process: others are read first."""
        return any(_is_of(name, key) for name in self._counts)

    def _count(self, name: str) -> None:
        self._counts[name] += 1
        log.warning("reading_ended_process", file=name, attempts=self._counts[name])
        if self._counts[name] >= MAX_ATTEMPTS:
            del self._counts[name]
            reason = f"{MAX_ATTEMPTS} processes ended while they read it"
            self.quarantine(self._spool_dir / name, reason)
        self._write_counts()

    def _write_note(self, name: str) -> None:
        os.pwrite(self._note, os.fsencode(name).ljust(NOTE_BYTES, b"\0"), 0)

    def _write_counts(self) -> None:
        text = json.dumps(self._counts).encode()
        SpoolWriter(self._spool_dir).write(self._folder / ATTEMPTS, [text])


def _is_of(name: str, key: SeriesKey) -> bool:
    return name.startswith(f"{key.study_instance_uid}/{key.series_instance_uid}/")


def _read_counts(path: Path) -> dict[str, int]:
    try:
        counts = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(counts, dict):
        return {}
    return {name: count for name, count in counts.items() if isinstance(count, int)}
