"""Temperature scaling of overconfident logits."""

import numpy as np
import pytest

from training.fit.calibration import calibrate
from training.fit.train import cross_entropy


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
