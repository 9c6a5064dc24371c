"""Advanced osteoarthritis: lost joint space on the given sides only.

Not covered: results of the finder (tests/bench/finder.py).
"""

import numpy as np

from tests.support.simulated import standard_patient, values_along, volume_around
from training.simulate.anatomy.arthrosis import excess, with_advanced_arthrosis
from training.simulate.anatomy.frames import hip_frame
from training.simulate.truth import truth


def test_joint_space_is_lost_in_its_upper_part() -> None:
    healthy = standard_patient()
    worn = with_advanced_arthrosis(healthy, np.random.default_rng(0), "L")
    left = truth(worn)[1]
    up = hip_frame(worn, "L").axes @ np.array([0.35, 0.0, 0.94])
    fine = {"pixel_mm": 0.7}
    joint = left.radius_mm + np.arange(0.0, 5.0, 0.25)

    worn_volume = volume_around(worn, "pelvis", np.array(left.center_mm), **fine)
    before = truth(healthy)[1]
    healthy_volume = volume_around(healthy, "pelvis", np.array(before.center_mm), **fine)

    # From the head into the roof there is only bone, or in the healthy joint a dark gap.
    assert values_along(worn_volume, np.array(left.center_mm), up, joint).min() > 350
    assert values_along(healthy_volume, np.array(before.center_mm), up, joint).min() < 300
    moved = np.subtract(left.center_mm, before.center_mm)
    assert 1.5 < moved @ up < 6


def test_only_the_given_sides_are_affected() -> None:
    right, left = with_advanced_arthrosis(
        standard_patient(), np.random.default_rng(0), "R"
    ).hips

    assert excess(right) > 0
    assert excess(left) == 0
