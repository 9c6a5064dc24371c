"""The finder on real CT through DICOM files and the loader, from a given folder."""

import tempfile
from pathlib import Path

from tests.bench.finder_measure import KnownHip, Outcome, View, measure
from tests.support.real_ct import CASES, VARIANTS, RealCt

# In STS_046 the top 2–3 mm of the head are cut off, in STS_026 most of it; STS_013 is a knee.
VIEWS: dict[str, View] = {"pelvis_two_hips": "whole", "STS_036": "whole", "STS_046": "part"}


def names() -> list[tuple[str, tuple[str, ...]]]:
    """Return every volume in every variant of plane, spacing, thickness and order."""
    return [(case, variant) for case in CASES for variant in VARIANTS]


def run_case(folder: Path, case: str, variant: tuple[str, ...]) -> Outcome:
    """Run the finder on one volume in one variant; only the heads are known."""
    ct = RealCt(folder)
    with tempfile.TemporaryDirectory() as directory:
        volume = ct.volume(case, Path(directory), *variant)
    view = VIEWS.get(case, "absent")
    hips = tuple(KnownHip(side, head, view) for side, head in ct.heads_mm(case).items())
    name = f"{case} {' '.join(variant).replace('--', '')}"
    return measure(name, (case,), volume, hips)
