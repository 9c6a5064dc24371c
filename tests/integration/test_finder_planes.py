"""Covered: a coronal and an axial series of one patient have the heads at the same positions.

The volumes are simulated and made as the loader would make them. Real CT: ``test_real_ct.py``.
"""

import numpy as np
import pytest

from tests.bench.finder_cases import acquire
from training.simulate.acquisition import sample_acquisition
from training.simulate.subject import sample_subject
from worker.pipeline import select
from worker.pipeline.volume import Orientation, PointMm, Side, Volume

SAME_PLACE_MM = 4.0
PLANES: tuple[Orientation, Orientation] = ("coronal", "axial")

pytestmark = pytest.mark.slow


def heads(volume: Volume) -> dict[Side, PointMm]:
    return {femur.side: femur.center_mm for femur in select.find_femurs(volume)}


def farthest_mm(first: dict[Side, PointMm], second: dict[Side, PointMm]) -> float:
    return max(float(np.linalg.norm(np.subtract(first[side], second[side]))) for side in first)


@pytest.mark.parametrize(("seed", "thickness_mm"), [(3, 3.0), (4, 3.0)])
def test_simulated_heads_are_the_same_coronal_and_axial(seed: int, thickness_mm: float) -> None:
    subject = sample_subject(np.random.default_rng(seed))
    scale = {"rows": 256, "thickness_mm": thickness_mm, "increment_mm": thickness_mm}
    coronal, axial = (
        acquire(
            subject,
            sample_acquisition(np.random.default_rng(seed), subject, plane, "pelvis", **scale),
        )
        for plane in PLANES
    )

    found = heads(coronal), heads(axial)

    assert set(found[0]) == set(found[1]) == {"R", "L"}
    assert farthest_mm(*found) < SAME_PLACE_MM
