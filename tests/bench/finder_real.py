"""Real CT through DICOM files and the loader, where a folder with some is given."""

import tempfile
from pathlib import Path

from tests.bench.finder_measure import KnownHip, Outcome, View, measure
from tests.real_ct import CASES, VARIANTS, RealCt

# Of STS_046 the top of the head is cut by 2–3 mm; of STS_026 most of it; STS_013 is a knee.
VIEWS: dict[str, View] = {"pelvis_two_hips": "whole", "STS_036": "whole", "STS_046": "part"}


def names() -> list[tuple[str, tuple[str, ...]]]:
    """Every volume in every variant of plane, spacing, thickness and order."""
    return [(case, variant) for case in CASES for variant in VARIANTS]


def examine(folder: Path, case: str, variant: tuple[str, ...]) -> Outcome:
    """One volume in one variant; only the heads are known."""
    ct = RealCt(folder)
    with tempfile.TemporaryDirectory() as directory:
        volume = ct.volume(case, Path(directory), *variant)
    view = VIEWS.get(case, "absent")
    hips = tuple(KnownHip(side, head, view) for side, head in ct.heads_mm(case).items())
    name = f"{case} {' '.join(variant).replace('--', '')}"
    return measure(name, (case,), volume, hips)
