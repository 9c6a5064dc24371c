"""New series in no time: one simulated series whose UIDs are exchanged in its bytes."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from tests.ct_factory import PATIENT_BIRTH_DATE, PATIENT_ID, PATIENT_NAME
from tests.series import simulate_quick

ROOT = "1.2.826.0.1.3680043.8.498."
DIGITS = 30


def new_uid() -> str:
    """A UID that is as long as every other one of here."""
    return f"{ROOT}{1 + secrets.randbelow(9)}{secrets.randbelow(10**DIGITS):0{DIGITS}}"


@dataclass(frozen=True)
class QuickSeries:
    """Writes copies of one series, each of a study of its own."""

    study: str
    series: str
    files: tuple[tuple[str, bytes], ...]

    def write(self, folder: Path, slices: slice = slice(None)) -> tuple[Path, ...]:
        """A new series of a new study, or a part of it."""
        folder.mkdir(parents=True)
        exchanged = {self.study: new_uid(), self.series: new_uid()}
        paths = []
        for number, (uid, encoded) in enumerate(self.files[slices]):
            for old, new in {**exchanged, uid: new_uid()}.items():
                encoded = encoded.replace(old.encode(), new.encode())
            paths.append(folder / f"{number:03d}.dcm")
            paths[-1].write_bytes(encoded)
        return tuple(paths)


def make_quick_series(folder: Path) -> QuickSeries:
    """Simulate the series that the others are copies of."""
    return read_quick_series(simulate_quick(folder / "simulated"), folder / "template")


def read_quick_series(paths: Sequence[Path], folder: Path) -> QuickSeries:
    """Copy a series with UIDs that are all of one length."""
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
