"""Free disk space of the spool."""

import math
import os
from pathlib import Path


def free_bytes(spool_dir: Path) -> int:
    """Return the disk space available to an unprivileged process."""
    stat = os.statvfs(spool_dir)
    return stat.f_bavail * stat.f_frsize


def free_bytes_or_nan(folder: Path) -> float:
    """Return the free bytes of a file system, NaN if it cannot be read."""
    try:
        return free_bytes(folder)
    except OSError:
        return math.nan


def is_too_full(spool_dir: Path, min_free_mb: int) -> bool:
    """Return whether less than the setting MIN_FREE_MB is left: nothing more is received."""
    return free_bytes(spool_dir) < min_free_mb * 2**20
