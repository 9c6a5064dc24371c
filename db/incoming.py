"""Files on their way into the spool: written in ``incoming``, renamed when whole."""

import fcntl
import mmap
import os
import random
from contextlib import suppress
from pathlib import Path

FILE_MODE = 0o640  # patients' images: for the service and its group only


class Incoming:
    """A new file in ``folder`` that this process holds a lock on while it writes.

    Nothing is buffered here. Ends by ``move`` or by ``discard``, and by ``discard`` of itself
    when neither came. Not for several threads at once.
    """

    def __init__(self, folder: Path) -> None:
        self.size = 0
        # O_EXCL makes sure; no system call for a secret that is none.
        name = f"{random.getrandbits(128):032x}.part"
        self._path = os.path.join(folder, name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, FILE_MODE)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def write(self, *parts: bytes | memoryview) -> None:
        """Append all by one system call (at most 1024 parts); raises OSError."""
        written = os.writev(self._descriptor, parts)
        self.size += written
        if written < sum(map(len, parts)):  # the disk is nearly full; the next write says so
            self.write(memoryview(b"".join(parts))[written:])

    def map(self) -> mmap.mmap:
        """What was written so far, to be read (ValueError while it is nothing)."""
        return mmap.mmap(self._descriptor, 0, prot=mmap.PROT_READ)

    def flush(self) -> None:
        """Make the content durable."""
        os.fsync(self._descriptor)

    def move(self, path: Path) -> None:
        """Give the file its name, on the same file system, replacing what has it."""
        os.replace(self._path, path)
        self._close()

    def discard(self) -> None:
        """Delete the file, unless it was moved; may be called again."""
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
