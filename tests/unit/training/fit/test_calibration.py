"""Temperature scaling of overconfident logits."""

import numpy as np
import pytest

from training.fit.calibration import calibrate, coverage_quantile
from training.fit.losses import cross_entropy


def test_calibration_finds_the_temperature_of_overconfident_logits() -> None:
    rng = np.random.default_rng(0)
    true_logits = rng.normal(0, 1.5, (4000, 3))
    shares = np.exp(true_logits) / np.exp(true_logits).sum(axis=1, keepdims=True)
    expected = np.array([rng.choice(3, p=share) for share in shares])

    temperature = calibrate((true_logits * 2.5).astype(np.float32), expected)

    assert temperature == pytest.approx(2.5, rel=0.1)
    assert cross_entropy(true_logits * 2.5, expected, temperature) < cross_entropy(
        true_logits * 2.5, expected
    )


def test_the_interval_of_the_t_score_holds_its_share_of_new_hips() -> None:
    rng = np.random.default_rng(2)
    # Scales that are half of the true ones: the quantile makes up for it.
    predicted = np.column_stack([rng.normal(-2, 1, 4000), np.full(4000, 0.2)])
    measured = predicted[:, 0] + rng.logistic(0, 0.4, 4000)

    quantile = coverage_quantile(predicted[:2000], measured[:2000])

    inside = np.abs(measured - predicted[:, 0]) <= quantile * predicted[:, 1]
    assert np.mean(inside[2000:]) == pytest.approx(0.95, abs=0.015)
    assert coverage_quantile(predicted[:10], measured[:10]) == pytest.approx(
        np.max(np.abs(measured[:10] - predicted[:10, 0]) / 0.2)
    )
