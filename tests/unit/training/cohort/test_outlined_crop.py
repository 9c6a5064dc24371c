"""The finder's outline beside a crop, against the true outline of the simulator."""

import numpy as np
import pytest

from training.cohort.cropped_series import outlined_crop
from training.cohort.planes import outline_of, plane_of, sample_found_femur
from training.simulate.acquisition import sample_acquisition
from training.simulate.subject import sample_subject
from training.simulate.truth import truth


@pytest.mark.parametrize("seed", [1, 2])
def test_the_mask_of_a_crop_covers_the_true_femur(seed: int) -> None:
    rng = np.random.default_rng(seed)
    subject = sample_subject(rng)
    acquisition = sample_acquisition(rng, subject, view="pelvis", rows=320, thickness_mm=3.0)
    hip = truth(subject)[seed % 2]
    femur = sample_found_femur(rng, hip)

    found = outlined_crop(plane_of(subject, acquisition, femur), femur)

    true = outline_of(subject, found.crop, hip.side)
    # The outline ends below the lesser trochanter, the true femur at the edge of the crop.
    rows = np.flatnonzero(found.outline.any(axis=1))
    true[rows[-1] + 1 :] = False
    both, either = np.sum(found.outline & true), np.sum(found.outline | true)
    assert both / either > 0.75
    assert 0.03 < found.outline.mean() < 0.25
