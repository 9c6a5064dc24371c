"""Fast copies of one simulated series, with its UIDs replaced in the encoded bytes."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from tests.support.ct_factory import PATIENT_BIRTH_DATE, PATIENT_ID, PATIENT_NAME
from tests.support.series import simulate_quick

ROOT = "1.2.826.0.1.3680043.8.498."
DIGITS = 30


def new_uid() -> str:
    """Return a UID of the same length as all others of this module."""
    return f"{ROOT}{1 + secrets.randbelow(9)}{secrets.randbelow(10**DIGITS):0{DIGITS}}"


@dataclass(frozen=True)
class QuickSeries:
    """Template of series copies, each in a study of its own."""

    study: str
    series: str
    files: tuple[tuple[str, bytes], ...]

    def write(
        self, folder: Path, slices: slice = slice(None), *, study: str | None = None
    ) -> tuple[Path, ...]:
        """Write a new series of a new or of this study, or some slices; return the paths.

        ``study`` : made by ``new_uid``.
        """
        folder.mkdir(parents=True)
        replaced = {self.study: study or new_uid(), self.series: new_uid()}
        paths = []
        for number, (uid, encoded) in enumerate(self.files[slices]):
            for old, new in {**replaced, uid: new_uid()}.items():
                encoded = encoded.replace(old.encode(), new.encode())
            paths.append(folder / f"{number:03d}.dcm")
            paths[-1].write_bytes(encoded)
        return tuple(paths)


def make_quick_series(folder: Path) -> QuickSeries:
    """Simulate a series and return it as a template."""
    return read_quick_series(simulate_quick(folder / "simulated"), folder / "template")


def read_quick_series(paths: Sequence[Path], folder: Path) -> QuickSeries:
    """Return a template of a series, with new UIDs that are all of one length."""
    folder.mkdir(parents=True)
    study, series = new_uid(), new_uid()
    files = []
    for path in paths:
        ds = dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.PatientName, ds.PatientID = PATIENT_NAME, PATIENT_ID
        ds.PatientBirthDate = PATIENT_BIRTH_DATE
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = new_uid()
        ds.save_as(folder / path.name)
        files.append((str(ds.SOPInstanceUID), (folder / path.name).read_bytes()))
    return QuickSeries(study, series, tuple(files))
