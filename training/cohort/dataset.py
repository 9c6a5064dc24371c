"""Data set of labeled hips, written by ``simulate --cohort`` and ``prepare``, read by ``fit``.

``hips.csv``     one line per hip: patient, scan, DXA, demographics, acquisition
``pixels.npy``   (n, 250, 250) float16, 0–255 (a step is at most 1 HU), as right hips
``femurs.npy``   (n, 250, 250) int8, distance of each pixel from the finder's femur, half mm
``outlines.npy`` (n, 250, 32) uint8, packed bits of the femur mask: the true one of a simulated
                 cohort, or the finder's outline; empty where a hip has none
``source.json``, ``split.csv``  origin and split (``training.cohort.source``)
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.cohort.split import SplitPart, check_no_leak
from worker.pipeline.crop import CROP_PX
from worker.pipeline.grading import grade_of_t_score
from worker.pipeline.results import Grade
from worker.pipeline.volume import Orientation, Side

TABLE, PIXELS, FEMURS, OUTLINES = "hips.csv", "pixels.npy", "femurs.npy", "outlines.npy"

Pixels = npt.NDArray[np.float16]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Record:
    """One labeled hip of one scan; unknown values are None.

    ``t_score`` : of this hip, or of the patient where the DXA result names no hip.
    ``l1_hu`` to ``l4_hu`` : attenuation of the lumbar vertebrae in the series.
    ``limits_hold`` : whether the series meets the conditions of the published limits, None
    where no vertebra with one is measured. ``neck_hu`` : attenuation of the neck of this hip.
    """

    patient: str
    scan: str
    side: Side
    t_score: float
    sex: str | None = None
    age: float | None = None
    height_m: float | None = None
    weight_kg: float | None = None
    orientation: Orientation = "coronal"
    kvp: float | None = None
    kernel: str | None = None
    thickness_mm: float | None = None
    increment_mm: float | None = None
    manufacturer: str | None = None
    enhanced: bool | None = None
    l1_hu: float | None = None
    l2_hu: float | None = None
    l3_hu: float | None = None
    l4_hu: float | None = None
    limits_hold: bool | None = None
    neck_hu: float | None = None
    part: SplitPart | None = None

    @property
    def grade(self) -> Grade:
        """WHO grade of the T-score, which is the label."""
        return grade_of_t_score(self.t_score)

    @property
    def bmi(self) -> float | None:
        """Body mass index in kg/m²; None where height or weight is missing."""
        if self.height_m is None or self.weight_kg is None:
            return None
        return self.weight_kg / self.height_m**2


@dataclass(frozen=True, slots=True)
class Hips:
    """Labeled hips; index i of records, pixels, femurs and outlines is the same hip.

    ``femurs`` : (n, 250, 250) int8, distances from the finder's femur in steps of
    ``femur_shape.STEP_MM``; None in data sets of versions before 4.
    """

    records: tuple[Record, ...]
    pixels: Pixels
    femurs: npt.NDArray[np.int8] | None = None
    outlines: npt.NDArray[np.uint8] | None = None

    @property
    def patients(self) -> npt.NDArray[np.str_]:
        """Patient of each hip, (n,)."""
        return np.array([record.patient for record in self.records], np.str_)

    @property
    def t_scores(self) -> npt.NDArray[np.float32]:
        """T-score of each hip, (n,)."""
        return np.array([record.t_score for record in self.records], np.float32)

    def part(self, name: SplitPart) -> "Hips":
        """Return the hips of one part of the split."""
        chosen = [i for i, record in enumerate(self.records) if record.part == name]
        return self.take(np.array(chosen, np.intp))

    def outline(self, index: int) -> Mask | None:
        """Return the (250, 250) femur mask of a hip, None where it is not known."""
        if self.outlines is None:
            return None
        return np.unpackbits(self.outlines[index], axis=-1, count=CROP_PX).astype(bool)

    def take(self, indices: npt.NDArray[np.intp]) -> "Hips":
        """Return the hips of some indices, in the order of the indices."""
        return Hips(
            tuple(self.records[i] for i in indices.tolist()),
            self.pixels[indices],
            None if self.femurs is None else self.femurs[indices],
            None if self.outlines is None else self.outlines[indices],
        )


def load(folder: Path) -> Hips:
    """Read a data set.

    Raises FileNotFoundError where there is none, ValueError where table and pixels have
    different lengths, and LeakError where a patient is in two parts.
    """
    records = load_records(folder)
    pixels = np.load(folder / PIXELS)
    femurs, outlines = (
        np.load(folder / name) if (folder / name).exists() else None
        for name in (FEMURS, OUTLINES)
    )
    known = [array for array in (pixels, femurs, outlines) if array is not None]
    if any(len(array) != len(records) for array in known):
        raise ValueError(
            f"{folder}: {len(records)} lines in {TABLE} but {len(pixels)} crops; write it again"
        )
    check_no_leak([r.patient for r in records], [str(r.part) for r in records])
    return Hips(records, pixels, femurs, outlines)


def load_records(folder: Path) -> tuple[Record, ...]:
    """Return the table of a data set. Raises FileNotFoundError."""
    with (folder / TABLE).open(newline="", encoding="utf-8") as file:
        return tuple(_record(line) for line in csv.DictReader(file))


def sha256(folder: Path) -> str:
    """Return the SHA-256 of the table, the pixels and the distances from the femur."""
    digest = hashlib.sha256()
    for name in (TABLE, PIXELS, FEMURS):
        if not (folder / name).exists():
            continue
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


TEXTS = ("patient", "scan", "side", "sex", "orientation", "kernel", "manufacturer", "part")
FLAGS = ("enhanced", "limits_hold")


def _record(line: dict[str, str]) -> Record:
    values: dict[str, Any] = {}
    for name, text in line.items():
        if text == "":
            values[name] = None
        elif name in TEXTS:
            values[name] = text
        else:
            values[name] = text == "True" if name in FLAGS else float(text)
    return Record(**values)
