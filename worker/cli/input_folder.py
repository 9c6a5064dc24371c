"""Checks of a folder of DICOM files that a command reads."""

import os
from pathlib import Path

from worker.pipeline.load import SeriesFiles


def input_problem(folder: Path) -> str | None:
    """Return why a folder cannot be read, None where it can."""
    if not folder.is_dir():
        return f"{folder}: not a folder"
    if not os.access(folder, os.R_OK | os.X_OK):
        return f"{folder}: not readable"
    return None


def no_series(folder: Path, found: SeriesFiles) -> str:
    """Return that a folder holds no series."""
    return f"{folder}: no DICOM series in it ({found.skipped} other files)"
