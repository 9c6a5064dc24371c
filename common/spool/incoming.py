"""Files that are being written to the spool, in ``incoming``; renamed when complete."""

import fcntl
import mmap
import os
import random
from contextlib import suppress
from pathlib import Path

FILE_MODE = 0o640  # patient data: readable by the service and its group only


class Incoming:
    """A new file in ``folder``, locked by this process while it is written.

    Writes are not buffered. Call ``move`` or ``discard`` at the end; garbage collection
    discards a file that was neither moved nor discarded. Not thread-safe.
    """

    def __init__(self, folder: Path) -> None:
        self.size = 0
        # O_EXCL makes the name unique; a secure random number would cost a system call.
        name = f"{random.getrandbits(128):032x}.part"
        self._path = os.path.join(folder, name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, FILE_MODE)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def write(self, *parts: bytes | memoryview) -> None:
        """Append all parts by one system call (at most 1024 parts); may raise OSError."""
        written = os.writev(self._descriptor, parts)
        self.size += written
        if written < sum(map(len, parts)):  # the disk is nearly full; the next write raises
            self.write(memoryview(b"".join(parts))[written:])

    def read_at(self, position: int, length: int) -> bytes:
        """Return up to ``length`` bytes of the content from ``position`` on."""
        return os.pread(self._descriptor, length, position)

    def map(self) -> mmap.mmap:
        """Map the content written so far; raise ValueError while it is empty."""
        return mmap.mmap(self._descriptor, 0, prot=mmap.PROT_READ)

    def flush(self) -> None:
        """Make the content durable."""
        os.fsync(self._descriptor)

    def move(self, path: Path) -> None:
        """Rename the file to ``path`` on the same file system, replacing an existing file."""
        os.replace(self._path, path)
        self._close()

    def discard(self) -> None:
        """Delete the file unless it was moved; further calls do nothing."""
        if self._descriptor >= 0:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            self._close()

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.discard()


def fsync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
