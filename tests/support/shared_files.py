"""Folders that are slow to make, made once by the processes of a test run."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

SHARED = "TESTS_SHARED_FILES"
"""Variable that names the folder of a run; ``tests/conftest.py`` sets it."""


def copy_of(key: str, make: Callable[[Path], object], folder: Path) -> None:
    """Write a copy of what ``make`` writes into an empty folder.

    ``key`` : equal for equal files. Without a run of pytest nothing is kept.
    """
    if SHARED not in os.environ:
        make(folder)
        return
    kept = Path(os.environ[SHARED]) / hashlib.sha256(key.encode()).hexdigest()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            partial = kept.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            make(partial)
            partial.rename(kept)
    shutil.copytree(kept, folder, dirs_exist_ok=True)
