"""Changed content from another sender: ``<spool>/held/<study>/<series>/<digest>.dcm``.

Such a file has the SOP Instance UID of an instance of the series, whose sender was another one.
It was acknowledged and is not screened: an operator accepts or refuses it. ``<digest>`` is the
SHA-256 of its encoded data set.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.dicom.file_meta import FileMeta
from common.dicom.uids import InvalidUid
from common.spool.incoming import fsync_folder
from common.spool.layout import INSTANCE_SUFFIX, SeriesKey
from common.spool.writer import FOLDER_MODE

HELD = "held"
WADO_RS = "WADO-RS"
"""Calling AE title of instances that were fetched by WADO-RS."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Calling AE title and network address; "" where unknown."""

    ae_title: str
    address: str = ""

    def __str__(self) -> str:
        title = self.ae_title or "an unknown sender"
        return f"{title} ({self.address})" if self.address else title

    def differs_from(self, other: "Sender") -> bool:
        """Return whether this is known to be another sender; an unknown value matches any."""
        pairs = ((self.ae_title, other.ae_title), (self.address, other.address))
        return any(one and two and one != two for one, two in pairs)


def sender_of(meta: FileMeta) -> Sender:
    """Return the sender of a file of the spool."""
    return Sender(meta.calling_ae_title, meta.source_address)


def held_path(spool_dir: Path, key: SeriesKey, sha256: str) -> Path:
    """Return the path of changed content of a series."""
    folder = spool_dir / HELD / key.study_instance_uid / key.series_instance_uid
    return folder / (sha256 + INSTANCE_SUFFIX)


def list_held(spool_dir: Path) -> Iterator[tuple[SeriesKey, Path]]:
    """Yield the held files of all series."""
    for path in sorted((spool_dir / HELD).glob(f"*/*/*{INSTANCE_SUFFIX}")):
        try:
            yield SeriesKey(path.parts[-3], path.parts[-2]), path
        except InvalidUid:
            continue


def move_durably(spool_dir: Path, path: Path, target: Path) -> bool:
    """Rename a file within the spool, replacing another one; False: it is not there.

    Raises OSError.
    """
    target.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    try:
        os.replace(path, target)
    except FileNotFoundError:
        return False
    depth = len(target.relative_to(spool_dir).parts)
    for folder in (*target.parents[:depth], path.parent):
        fsync_folder(folder)
    return True


def remove_held(path: Path) -> None:
    """Delete a held file and its empty folders; does nothing where it is not there."""
    path.unlink(missing_ok=True)
    for folder in path.parents[:2]:
        try:
            folder.rmdir()
        except OSError:
            return
