"""Erasure of a study: everything of it in the spool, results included."""

import shutil
from pathlib import Path

from common.dicom.uids import check_uid
from common.spool.held import HELD
from common.spool.layout import RESULTS
from common.spool.quarantine import QUARANTINE


def study_folders(spool_dir: Path, study_instance_uid: str) -> list[Path]:
    """Return the folders of a study that exist; raises InvalidUid."""
    uid = check_uid(study_instance_uid)
    folders = (spool_dir, *(spool_dir / name for name in (RESULTS, HELD, QUARANTINE)))
    return [folder / uid for folder in folders if (folder / uid).is_dir()]


def remove_study(spool_dir: Path, study_instance_uid: str) -> None:
    """Delete the folders of a study; raises OSError, and may then be repeated."""
    for folder in study_folders(spool_dir, study_instance_uid):
        shutil.rmtree(folder)
