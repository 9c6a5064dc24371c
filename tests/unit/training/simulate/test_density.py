"""Bone mineral density of a T-score."""

import pytest

from training.simulate.density import bmd_of_t_score


def test_reference_bmd_is_that_of_young_women():
    assert bmd_of_t_score(0.0) == pytest.approx(0.858)
    assert bmd_of_t_score(-2.5) == pytest.approx(0.558)
