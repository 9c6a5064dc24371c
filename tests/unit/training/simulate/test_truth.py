"""Truth about both hips: sides and order of the landmarks; attenuation of the neck."""

import numpy as np
import pytest

from tests.support.simulated import index_of, quiet_scan
from training.simulate.scanner import render
from training.simulate.subject import sample_subject
from training.simulate.truth import truth


def test_sides_are_the_patients():
    for seed in range(5):
        right, left = truth(sample_subject(np.random.default_rng(seed)))

        assert right.side == "R"
        assert right.center_mm[0] < left.center_mm[0]
        assert right.neck_mm[0] < right.center_mm[0]
        assert left.neck_mm[0] > left.center_mm[0]
        assert right.intertrochanteric_mm[2] < right.neck_mm[2] < right.center_mm[2]
        assert right.shaft_direction[2] < -0.85


def test_neck_attenuation_on_the_image_agrees_with_the_truth():
    for seed in range(4):
        subject, acquisition = quiet_scan(seed=seed, rows=400, thickness_mm=2.0)
        for hip in truth(subject):
            index, (row, column) = index_of(acquisition, hip.neck_mm)
            reach = round(3.5 / acquisition.pixel_mm)
            rows = slice(round(row) - reach, round(row) + reach + 1)
            columns = slice(round(column) - reach, round(column) + reach + 1)

            measured = render(subject, acquisition, [index], rows, columns).mean()

            assert measured == pytest.approx(hip.neck_hu, abs=35)
