"""Covered: each figure against a hand-made case; intervals over patients, not over hips."""

import numpy as np
import pytest

from training.evaluate import (
    accuracy,
    auc,
    calibration_error,
    confusion,
    evaluate,
    macro_auc,
    sensitivity,
    specificity,
)
from training.production_path import HipOutcome, SeriesOutcome, summarize

SHARES = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
EXPECTED = np.array([0, 1, 1, 2])


def test_counts_of_a_small_case() -> None:
    assert accuracy(SHARES, EXPECTED) == 0.75
    assert confusion(SHARES.argmax(axis=1), EXPECTED) == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert sensitivity(SHARES, EXPECTED, 1) == 0.5
    assert specificity(SHARES, EXPECTED, 0) == pytest.approx(2 / 3)


def test_auc_is_the_share_of_pairs_in_order_with_ties_as_half() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.8])

    assert auc(scores, np.array([False, False, True, True])) == pytest.approx(3.5 / 4)
    assert np.isnan(auc(scores, np.zeros(4, bool)))


def test_perfect_and_useless_models() -> None:
    rng = np.random.default_rng(0)
    expected = rng.integers(3, size=3000)

    assert macro_auc(np.eye(3)[expected], expected) == 1.0
    assert macro_auc(rng.random((3000, 3)), expected) == pytest.approx(0.5, abs=0.03)


def test_calibration_error_is_the_gap_of_confidence_and_accuracy() -> None:
    shares = np.tile([0.9, 0.05, 0.05], (100, 1))

    assert calibration_error(shares, np.array([0] * 60 + [1] * 40)) == pytest.approx(0.3)
    assert calibration_error(shares, np.array([0] * 90 + [1] * 10)) == pytest.approx(0)


def test_interval_widens_when_the_hips_are_of_few_patients() -> None:
    rng = np.random.default_rng(1)
    expected = rng.integers(3, size=200)
    # All hips of one patient are right or wrong together.
    right = np.repeat(rng.random(20) < 0.7, 10)
    shares = np.eye(3)[np.where(right, expected, (expected + 1) % 3)]

    def width(patients: np.ndarray) -> float:
        interval = evaluate(shares, expected, patients, np.random.default_rng(2))["accuracy"]
        assert interval["low"] <= interval["value"] <= interval["high"]
        return float(interval["high"] - interval["low"])

    assert width(np.repeat(np.arange(20), 10)) > 2 * width(np.arange(200))


def test_production_path_counts_rejections_and_grades() -> None:
    graded = HipOutcome(0, (0.7, 0.2, 0.1), None)
    wrong = HipOutcome(2, (0.1, 0.6, 0.3), None)
    refused = HipOutcome(1, None, "METAL")

    summary = summarize(
        [
            SeriesOutcome("coronal", None, (graded, refused)),
            SeriesOutcome("axial", None, (wrong,)),
            SeriesOutcome("coronal", "NO_FEMUR", ()),
        ]
    )

    assert summary["series"] == 3
    assert summary["axial"] == 1
    assert summary["series_rejected"] == {"NO_FEMUR": 1}
    assert summary["hips_not_assessable"] == {"METAL": 1}
    assert summary["hips_graded"] == 2
    assert summary["accuracy"] == 0.5
    assert (summary["accuracy_coronal"], summary["accuracy_axial"]) == (1.0, 0.0)
