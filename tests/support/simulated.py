"""Simulated scans for tests of the simulator, and sampling of their volumes."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from scipy import ndimage

from training.simulate.acquisition import Acquisition, sample_acquisition
from training.simulate.scanner import render, render_volume
from training.simulate.subject import Subject, sample_subject
from worker.pipeline.volume import Orientation, Volume

SMALL = {"rows": 48, "slices": 10, "thickness_mm": 1.3, "increment_mm": 5.0}
QUIET = {
    "kernel": "standard",
    "kvp": 120,
    "noise_hu": 1.0,
    "streaks": 0.0,
    "offset_hu": 0.0,
    "reverse": False,
}


def small_series(
    seed: int = 1, plane: Orientation = "coronal", **fixed: Any
) -> tuple[Subject, Acquisition]:
    """Return a patient with osteopenia and a scan of few small slices."""
    rng = np.random.default_rng(seed)
    subject = sample_subject(rng, grade="osteopenia")
    return subject, sample_acquisition(rng, subject, plane=plane, **{**SMALL, **fixed})


def read_all(paths: Iterable[Path]) -> list[pydicom.Dataset]:
    """Return the data sets of files."""
    return [pydicom.dcmread(path) for path in paths]


def quiet_scan(
    seed: int = 1,
    view: Any = "pelvis",
    plane: Orientation = "coronal",
    subject: Subject | None = None,
    **fixed: Any,
) -> tuple[Subject, Acquisition]:
    """Return a patient with normal bone and a scan almost without noise."""
    rng = np.random.default_rng(seed)
    patient = subject or sample_subject(rng, grade="normal")
    settings = {**QUIET, "thickness_mm": 3.0, "rows": 256, **fixed}
    return patient, sample_acquisition(rng, patient, plane=plane, view=view, **settings)


def standard_patient(seed: int = 3, *, arms_down: bool = False) -> Subject:
    """Return a supine patient with normal bone."""
    subject = sample_subject(np.random.default_rng(seed), grade="normal")
    return replace(subject, pose=replace(subject.pose, arms_down=arms_down, prone=False))


def standard_scan(subject: Subject, view: Any, **fixed: Any) -> Acquisition:
    """Return a coronal scan of a view, almost without noise."""
    settings = {"kernel": "standard", "noise_hu": 1.0, "streaks": 0.0, "reverse": False}
    scale = {"rows": 256, "thickness_mm": 3.0, "increment_mm": 3.0} | fixed
    rng = np.random.default_rng(1)
    return sample_acquisition(rng, subject, "coronal", view, **settings, **scale)


def volume_around(
    subject: Subject, view: Any, point_mm: npt.NDArray[Any], **fixed: Any
) -> Volume:
    """Return a few coronal slices in front of and behind a point."""
    acquisition = standard_scan(subject, view, **fixed)
    index, _ = index_of(acquisition, point_mm)
    return render_volume(subject, acquisition, range(index - 2, index + 3))


def index_of(acquisition: Acquisition, point_mm: Any) -> tuple[int, npt.NDArray[np.float64]]:
    """Return the nearest slice of a point and its fractional row and column."""
    inverse = np.linalg.inv(acquisition.affine())
    index = inverse[:3, :3] @ np.asarray(point_mm) + inverse[:3, 3]
    return round(float(index[0])), index[1:]


def values_at(volume: Volume, points_mm: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the interpolated HU at (n, 3) points."""
    index = volume.to_index(points_mm).T
    return np.asarray(ndimage.map_coordinates(volume.hu.astype(np.float32), index, order=1))


def values_along(
    volume: Volume,
    start: npt.NDArray[Any],
    direction: npt.NDArray[Any],
    reach_mm: npt.NDArray[Any],
) -> npt.NDArray[np.float32]:
    """Return the interpolated HU at distances along a direction."""
    return values_at(volume, start + reach_mm[:, None] * direction)


def noise_of(subject: Subject, acquisition: Acquisition) -> npt.NDArray[np.float64]:
    """Return the noise of the middle 64 × 64 pixels of the middle slice."""
    index = acquisition.slices // 2
    loud = render(subject, acquisition, [index])[0].astype(float)
    silent = render(subject, replace(acquisition, noise_hu=0.0), [index])[0]
    rows, columns = loud.shape
    part = np.s_[rows // 2 - 32 : rows // 2 + 32, columns // 2 - 32 : columns // 2 + 32]
    return np.asarray((loud - silent)[part])
