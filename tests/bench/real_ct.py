"""``python -m tests.bench.real_ct``: how repeatable a screening of one real hip is.

Each real hip is rendered 24 times (coronal 2, 3 and 4 mm, axial 1, 3 and 5 mm; plain, mirrored,
cut 2 mm earlier or later with 10 or 20 HU of noise), written as DICOM files and screened with
one model. Prints a table and then JSON. The folder is that of ``tests.support.real_ct``.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.real_ct_summary import HipReading, differences, summarize, table
from tests.support.real_ct import ABSENT, FOLDER, HAS_REAL_CT, RealCt
from training.progress import ProgressBars
from worker.pipeline.model import package
from worker.pipeline.results import Classification, Hip, Model, ModelInfo, NeckAttenuation
from worker.pipeline.screen import screen
from worker.pipeline.volume import PointMm, Side

CASES = ("pelvis_two_hips", "STS_036", "STS_040", "STS_044", "STS_046")
THICKNESSES = {"coronal": (2, 3, 4), "axial": (1, 3, 5)}
PIXEL_MM = 0.8
# Part of a volume that is rendered, (x, y, z) from and to: both hips and the bones around them.
BOXES = {"pelvis_two_hips": ((-190.0, -120.0, -66.0), (190.0, 140.0, 190.0))}
# A grid that begins this much later has its slices at other places.
EARLY_MM, LATE_MM = 2.0, 4.0
OTHER_SIDE: dict[Side, Side] = {"R": "L", "L": "R"}
# A hip farther from the known one is another one.
SAME_HIP_MM = 15.0


@dataclass(frozen=True, slots=True)
class Rendering:
    """One way to make a series of a volume."""

    plane: str
    thickness_mm: int
    mirrored: bool = False
    cut_mm: float = 0.0
    noise_hu: int = 0

    @property
    def name(self) -> str:
        """Name in the JSON."""
        change = "mirrored" if self.mirrored else "plain"
        if self.noise_hu:
            change = f"cut {self.cut_mm:.0f} mm, noise {self.noise_hu} HU"
        return f"{self.plane} {self.thickness_mm} mm, {change}"

    def options(self, low: Sequence[float], high: Sequence[float]) -> Iterator[str]:
        """Yield the options of ``to_dicom.py`` for the part between two corners, mm."""
        yield from ("--plane", self.plane, "--spacing", str(PIXEL_MM))
        yield from ("--thickness", str(self.thickness_mm), "--noise", str(self.noise_hu))
        if self.mirrored:
            yield "--flip-x"
        yield "--crop"
        for first, last in zip(low, high, strict=True):
            yield from (str(first + self.cut_mm), str(last))


def renderings() -> list[Rendering]:
    """Return the 24 renderings of each volume."""
    return [
        one
        for plane, thicknesses in THICKNESSES.items()
        for thickness in thicknesses
        for one in (
            Rendering(plane, thickness),
            Rendering(plane, thickness, mirrored=True),
            Rendering(plane, thickness, cut_mm=EARLY_MM, noise_hu=10),
            Rendering(plane, thickness, cut_mm=LATE_MM, noise_hu=20),
        )
    ]


class RecordingModel:
    """A model that keeps its classifications, also of the crops that are then refused."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.info: ModelInfo = model.info
        self.envelope = model.envelope
        self.found: dict[Side, Classification] = {}

    def for_patient(self, _patient: object) -> "RecordingModel":
        """Return itself: the crop alone is measured."""
        return self

    def classify(self, pixels: Any, side: Side, *more: Any) -> Classification:
        """Classify and keep the result of the side."""
        self.found[side] = self._model.classify(pixels, side, *more)
        return self.found[side]


def read(case: str, how: Rendering, ct: RealCt, model: Model) -> Iterator[HipReading]:
    """Render, write and screen a volume; yield one reading for each known hip."""
    low, high = ct.bounds_mm(case)
    recording = RecordingModel(model)
    with tempfile.TemporaryDirectory() as folder:
        paths = ct.series(case, Path(folder), *how.options(*BOXES.get(case, (low, high))))
        result = screen(paths, recording)
    hips = {hip.side: hip for hip in result.hips}
    for side, head in ct.heads_mm(case).items():
        if how.mirrored:
            shown, head_mm = OTHER_SIDE[side], (low[0] + high[0] - head[0], *head[1:])
        else:
            shown, head_mm = side, head
        yield reading(case, side, how, (hips.get(shown), head_mm, recording.found.get(shown)))


def reading(
    case: str,
    side: Side,
    how: Rendering,
    found: tuple[Hip | None, PointMm, Classification | None],
) -> HipReading:
    """Return what was found of one hip whose head is known."""
    hip, head_mm, classification = found
    off_mm = None
    if hip is not None and hip.femur is not None:
        off_mm = float(np.linalg.norm(np.subtract(hip.femur.center_mm, head_mm)))
    name = f"{case} {side}"
    if hip is None or off_mm is None or off_mm > SAME_HIP_MM:
        code = "NO_FEMUR" if hip is None or hip.reason is None else str(hip.reason.code)
        return HipReading(name, how.name, how.plane, how.thickness_mm, code, off_mm)
    return HipReading(
        hip=name,
        rendering=how.name,
        plane=how.plane,
        thickness_mm=how.thickness_mm,
        reason=None if hip.reason is None else str(hip.reason.code),
        head_off_mm=off_mm,
        neck_hu=hip.neck.mean_hu if isinstance(hip.neck, NeckAttenuation) else None,
        probabilities=(
            None
            if classification is None
            else {str(grade): p for grade, p in classification.probabilities.items()}
        ),
        distance=None if classification is None else distance_of(classification),
    )


def distance_of(classification: Classification) -> float | None:
    """Return the out-of-distribution distance that a classification states."""
    stated = re.search(
        "distance ([0-9.]+),", str(classification.in_distribution), re.IGNORECASE
    )
    return None if stated is None else float(stated[1])


def main() -> None:
    """Measure; print a table, and everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--model", type=Path, default=package.SHIPPED_DIR)
    options = parser.parse_args()
    if not HAS_REAL_CT:
        print(ABSENT)
        return
    ct, model = RealCt(FOLDER), package.load(options.model)
    readings = list[HipReading]()
    with ProgressBars() as bars, bars.step("renderings", len(options.cases) * 24) as advance:
        for case in options.cases:
            for how in renderings():
                readings.extend(read(case, how, ct, model))
                advance(1)
    summaries = summarize(readings)
    print(table(summaries))
    report = {
        "model": model.info.version,
        "hips": {name: asdict(summary) for name, summary in summaries.items()},
        "left_right": differences(readings),
        "readings": [asdict(one) for one in readings],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
