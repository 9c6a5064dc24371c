"""Random acquisitions: what lies in the field of view, and unknown fields."""

import numpy as np
import pytest

from tests.support.simulated import quiet_scan
from training.simulate.truth import truth


def test_an_abdomen_scan_ends_above_the_femurs():
    for seed in range(5):
        subject, acquisition = quiet_scan(seed=seed, view="abdomen")

        for hip in truth(subject):
            assert hip.center_mm[2] + hip.radius_mm < acquisition.scan_mm[0]


def test_both_hips_with_neck_and_trochanters_lie_in_an_ordinary_scan():
    for seed in range(25):
        subject, acquisition = quiet_scan(seed=seed, view="abdomen-pelvis")
        inverse = np.linalg.inv(acquisition.affine())
        size = np.array([acquisition.slices, acquisition.rows, acquisition.columns])
        for hip in truth(subject):
            for point in (hip.center_mm, hip.neck_mm):
                index = inverse[:3, :3] @ point + inverse[:3, 3]

                assert (index > 0).all()
                assert (index < size - 1).all()
                assert acquisition.scan_mm[0] < point[2]


def test_an_unknown_field_of_an_acquisition_is_refused():
    with pytest.raises(TypeError, match="kvP"):
        quiet_scan(kvP=120)
