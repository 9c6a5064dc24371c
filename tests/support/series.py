"""Small simulated CT series on disk, and modified copies of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from tests.support.shared_files import copy_of
from training.simulate.acquisition import Acquisition, sample_acquisition
from training.simulate.series import write_series
from training.simulate.subject import Subject, sample_subject
from worker.pipeline.volume import Orientation

# 410 mm field of view at half the usual matrix: every step works as on a full series, and a
# series takes seconds.
SMALL = {
    "rows": 256,
    "columns": 256,
    "pixel_mm": 1.6,
    "thickness_mm": 4.0,
    "increment_mm": 4.0,
    "kernel": "standard",
    "kvp": 120,
}


def simulate_small(
    folder: Path,
    plane: Orientation,
    *,
    view: Any = "pelvis",
    seed: int = 11,
    scanner: Mapping[str, Any] = SMALL,
    **subject: Any,
) -> tuple[Path, ...]:
    """Write a pelvis (or another view) of a patient with osteoporosis and intact hips."""
    rng = np.random.default_rng(seed)
    person = sample_subject(rng, **{"grade": "osteoporosis", "condition": "none", **subject})
    acquisition = sample_acquisition(rng, person, plane, view, **scanner)
    return write_simulated(person, acquisition, folder)


def write_simulated(
    person: Subject, acquisition: Acquisition, folder: Path
) -> tuple[Path, ...]:
    """Write a simulated series; equal ones are rendered once in a run of the tests."""

    def write(out: Path) -> None:
        write_series(person, acquisition, out)

    copy_of(repr((person, acquisition)), write, folder)
    return tuple(sorted(folder.glob("IM*.dcm")))


def copy_series(
    paths: Sequence[Path], folder: Path, change: Callable[[int, Dataset], None] | None = None
) -> tuple[Path, ...]:
    """Write a series of a new study with the same images.

    ``change(index, ds)`` : modifies each instance after it got its new UIDs.
    """
    folder.mkdir(parents=True)
    study, series = generate_uid(), generate_uid()
    copies = []
    for index, path in enumerate(paths):
        ds = dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        if change is not None:
            change(index, ds)
        copies.append(folder / f"{index:04d}.dcm")
        ds.save_as(copies[-1])
    return tuple(copies)


def uid_of(paths: Sequence[Path]) -> str:
    """Return the Series Instance UID."""
    return str(dcmread(paths[0], stop_before_pixels=True).SeriesInstanceUID)


def study_of(paths: Sequence[Path]) -> str:
    """Return the Study Instance UID."""
    return str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)


# A quarter of the usual matrix and only the slices around the hips: a screening with both hips
# graded takes 0.4 s of CPU.
QUICK = {**SMALL, "rows": 192, "columns": 192, "pixel_mm": 2.1}
QUICK_SLICES = slice(20, 44)


def simulate_quick(folder: Path) -> tuple[Path, ...]:
    """Write 24 coronal slices, the smallest series in which both hips are graded."""
    paths = simulate_small(folder, "coronal", scanner=QUICK)[QUICK_SLICES]
    for path in set(folder.iterdir()) - set(paths):
        path.unlink()
    return paths
