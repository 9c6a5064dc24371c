"""Paths and folders of the spool: instances as received, and results.

    <spool>/incoming/                              files that are being written
    <spool>/<study>/<series>/<sop>.dcm             instances, as received
    <spool>/quarantine/<study>/<series>/<sop>.dcm  instances that are not read any more
    <spool>/held/<study>/<series>/<sha256>.dcm     changed content from another sender
    <spool>/results/<study>/<series>/r<revision>/  sr.dcm, sc.dcm, overlay.sc.dcm, sc.png,
                                                   result.json
    <spool>/results/<study>/r<revision>/           the same, and study.json, of a whole study

The folder of a withdrawn result also has its rejection note, ko-<sop>.dcm.

A file appears under its final name only when it is complete and durable.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.dicom.uids import check_uid, is_valid_uid

INCOMING = "incoming"
RESULTS = "results"
INSTANCE_SUFFIX = ".dcm"


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """The UIDs of a series; raises InvalidUid at construction if one is not valid."""

    study_instance_uid: str
    series_instance_uid: str

    def __post_init__(self) -> None:
        check_uid(self.study_instance_uid)
        check_uid(self.series_instance_uid)


def series_folder(spool_dir: Path, key: SeriesKey) -> Path:
    """Return the folder of the instances of a series."""
    return spool_dir / key.study_instance_uid / key.series_instance_uid


def instance_path(spool_dir: Path, key: SeriesKey, sop_instance_uid: str) -> Path:
    """Return the path of an instance; raise InvalidUid if the UID is not valid."""
    return series_folder(spool_dir, key) / (check_uid(sop_instance_uid) + INSTANCE_SUFFIX)


def results_folder(spool_dir: Path, key: SeriesKey, revision: int) -> Path:
    """Return the folder of the results of a revision."""
    study, series = key.study_instance_uid, key.series_instance_uid
    return spool_dir / RESULTS / study / series / f"r{revision}"


def study_results_folder(spool_dir: Path, study_instance_uid: str, revision: int) -> Path:
    """Return the folder of the results of a study at a revision of the study."""
    return spool_dir / RESULTS / check_uid(study_instance_uid) / f"r{revision}"


def list_series(spool_dir: Path) -> Iterator[tuple[SeriesKey, int]]:
    """Yield every series in the spool with the modification time of its folder in ns."""
    for study in _folders(spool_dir):
        for series in _folders(Path(study.path)):
            yield SeriesKey(study.name, series.name), series.stat().st_mtime_ns


def list_instances(spool_dir: Path, key: SeriesKey) -> tuple[Path, ...]:
    """Return the files of a series, sorted by name."""
    try:
        names = os.listdir(series_folder(spool_dir, key))
    except FileNotFoundError:
        return ()
    folder = series_folder(spool_dir, key)
    return tuple(folder / name for name in sorted(names) if name.endswith(INSTANCE_SUFFIX))


def remove_series(spool_dir: Path, key: SeriesKey, *, before: datetime) -> None:
    """Delete the instances of a series written before ``before``, and empty folders.

    Instances that arrive meanwhile have been acknowledged and are kept. Results are kept.
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
        return  # not empty, or already deleted


def _folders(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the sub-folders whose name is a UID, not ``incoming``, ``quarantine`` or others."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if is_valid_uid(entry.name) and entry.is_dir(follow_symlinks=False):
                yield entry
