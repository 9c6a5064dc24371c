"""Files of the spool that are not read any more: ``<spool>/quarantine/<study>/<series>/``.

A file is moved there, never deleted: it was acknowledged. An operator moves it back or deletes
it.
"""

import os
from pathlib import Path

from common.spool.incoming import fsync_folder
from common.spool.layout import INSTANCE_SUFFIX, SeriesKey
from common.spool.writer import FOLDER_MODE

QUARANTINE = "quarantine"


def quarantine_folder(spool_dir: Path) -> Path:
    """Return the folder of all quarantined files."""
    return spool_dir / QUARANTINE


def quarantine_file(spool_dir: Path, path: Path) -> Path:
    """Move an instance of the spool, durably; return its new path. Raises OSError."""
    target = quarantine_folder(spool_dir) / path.relative_to(spool_dir)
    target.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    os.replace(path, target)
    for folder in (*target.parents[:4], path.parent):
        fsync_folder(folder)
    return target


def list_quarantined(spool_dir: Path, key: SeriesKey | None = None) -> list[Path]:
    """Return the quarantined files, of one series or of all."""
    studies, series = ("*", "*") if key is None else (
        key.study_instance_uid,
        key.series_instance_uid,
    )  # fmt: skip
    folder = quarantine_folder(spool_dir)
    return sorted(folder.glob(f"{studies}/{series}/*{INSTANCE_SUFFIX}"))
