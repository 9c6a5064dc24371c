"""Real CT volumes as DICOM series, from a folder outside the project.

``OSTEOSCREEN_REALCT`` names the folder; without it, it is ``shared/realct`` beside the clone.
It holds ``<case>.nii.gz``, ``femoral_heads.json`` (center and radius of the heads,
patient LPS mm) and ``to_dicom.py``, which writes a volume as a series.
"""

import contextlib
import functools
import importlib.util
import io
import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.ct_volume import load_series
from tests.support.reslice import resample
from worker.pipeline.volume import PointMm, Side, Volume

CASES = ("pelvis_two_hips", "STS_036", "STS_046", "STS_026", "STS_013")
VARIANTS: tuple[tuple[str, ...], ...] = (
    ("--plane", "coronal", "--spacing", "0.8", "--thickness", "3"),
    ("--plane", "coronal", "--spacing", "0.6", "--thickness", "2"),
    ("--plane", "coronal", "--spacing", "1.2", "--thickness", "4", "--reverse"),
    ("--plane", "coronal", "--spacing", "1.0", "--thickness", "5"),
    ("--plane", "axial", "--spacing", "0.9", "--thickness", "2.5"),
    ("--plane", "axial", "--spacing", "0.6", "--thickness", "3", "--reverse"),
    ("--plane", "axial", "--spacing", "1.2", "--thickness", "5"),
)


BESIDE_CLONE = Path(__file__).resolve().parents[3] / "shared" / "realct"
# Read when the tests are collected: a session fixture removes the settings of the caller.
FOLDER = Path(os.environ.get("OSTEOSCREEN_REALCT") or BESIDE_CLONE)

HAS_REAL_CT = (FOLDER / "femoral_heads.json").exists()
ABSENT = f"No real CT in {FOLDER}; set OSTEOSCREEN_REALCT to the folder that holds it."

realct = (pytest.mark.realct, pytest.mark.skipif(not HAS_REAL_CT, reason=ABSENT))
"""Marks of a test that needs the folder."""


class RealCt:
    """The folder of real volumes. The last volume that was read stays in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.truth = json.loads((folder / "femoral_heads.json").read_text())
        self._writer = _module(folder / "to_dicom.py")
        self._writer.load = functools.lru_cache(maxsize=1)(self._writer.load)
        self._writer.resample = resample  # the same in a twentieth of the time

    def series(self, case: str, out: Path, *options: str) -> tuple[Path, ...]:
        """Write one volume as DICOM files."""
        with contextlib.redirect_stdout(io.StringIO()):
            self._writer.main([self._file(case), str(out), *options])
        return tuple(sorted(out.glob("*.dcm")))

    def volume(self, case: str, out: Path, *options: str) -> Volume:
        """Return the canonical volume, written and loaded as files."""
        return load_series(self.series(case, out, *options))[1]

    def bounds_mm(self, case: str) -> tuple[list[float], list[float]]:
        """Return the centers of the first and the last voxel of a volume, patient LPS mm."""
        array, spacing, origin = self._writer.load(self._file(case))
        last = np.multiply(np.subtract(array.shape, 1), spacing)[::-1]
        return list(map(float, origin)), list(map(float, origin + last))

    def femur_at(
        self, case: str, side: Side, points_mm: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_] | None:
        """Return whether each of (…, 3) points lies in a labeled femur; None without labels."""
        if not Path(self._file(f"{case}_labels")).exists():
            return None
        labels, spacing, origin = self._writer.load(self._file(f"{case}_labels"))

        def label_of(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
            index = np.rint((points - origin)[..., ::-1] / spacing).astype(int)
            inside = np.all((index >= 0) & (index < labels.shape), axis=-1)
            clipped = np.clip(index, 0, np.subtract(labels.shape, 1))
            return np.where(inside, labels[tuple(np.moveaxis(clipped, -1, 0))], 0)

        return np.asarray(label_of(points_mm) == label_of(np.array(self.heads_mm(case)[side])))

    def _file(self, case: str) -> str:
        return str(self.folder / f"{case}.nii.gz")

    def heads_mm(self, case: str) -> dict[Side, PointMm]:
        """Return the true centers of the femoral heads, patient LPS mm."""
        return {head["side"]: tuple(head["center_lps_mm"]) for head in self.truth.get(case, [])}


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_ct_to_dicom", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
