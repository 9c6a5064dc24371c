"""The finder on real CT through DICOM files and the loader, from a given folder."""

import tempfile
from pathlib import Path

from tests.bench.finder_measure import KnownHip, Outcome, View, measure
from tests.support.real_ct import CASES, VARIANTS, RealCt

# In STS_046 the top 2–3 mm of the head are cut off, in STS_026 most of it; STS_013 is a knee.
VIEWS: dict[str, View] = {
    "pelvis_two_hips": "whole",
    "STS_036": "whole",
    "STS_040": "whole",
    "STS_044": "whole",
    "STS_046": "part",
}
# Flexed thighs in a narrow field of view; chests full of contrast medium; an abdomen to the
# middle of the heads.
HARD_CASES = (
    "STS_040",
    "STS_044",
    "chest_arterial",
    "chest_dense_contrast",
    "abdomen_lumbar_spine",
)
ALL_CASES = tuple(dict.fromkeys((*CASES, *HARD_CASES)))


def names() -> list[tuple[str, tuple[str, ...]]]:
    """Return every volume in every variant of plane, spacing, thickness and order."""
    return [(case, variant) for case in ALL_CASES for variant in VARIANTS]


def run_case(folder: Path, case: str, variant: tuple[str, ...]) -> Outcome:
    """Run the finder on one volume in one variant; only the heads are known."""
    ct = RealCt(folder)
    with tempfile.TemporaryDirectory() as directory:
        volume = ct.volume(case, Path(directory), *variant)
    view = VIEWS.get(case, "absent")
    hips = tuple(KnownHip(side, head, view) for side, head in ct.heads_mm(case).items())
    name = f"{case} {' '.join(variant).replace('--', '')}"
    return measure(name, (case,), volume, hips)
