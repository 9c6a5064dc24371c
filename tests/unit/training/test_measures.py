"""Covered: each figure against a hand-made case; intervals over patients, not over hips."""

import numpy as np
import pytest

from training.measures import (
    accuracy,
    auc,
    calibration_error,
    calibration_floor,
    confusion,
    evaluate,
    f1,
    interval,
    macro_auc,
    pair_accuracy,
    pair_auc,
    paired_difference,
    patient_draws,
    precision,
    said,
    sensitivity,
    specificity,
)

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


def test_few_hips_leave_an_error_to_exact_probabilities_and_many_do_not() -> None:
    rng = np.random.default_rng(3)

    few, many = (
        calibration_floor(rng.dirichlet((1, 1, 1), count), rng) for count in (100, 20_000)
    )

    assert few > 0.05
    assert many < 0.01


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


def test_precision_and_f1_of_a_small_case() -> None:
    assert precision(SHARES, EXPECTED, 0) == 0.5
    assert f1(SHARES, EXPECTED, 0) == pytest.approx(2 / 3)


def test_pairs_ask_only_for_the_hips_of_two_grades() -> None:
    # Osteopenia .5 to .3 and .3 to .1 against osteoporosis .1 to .8: all in order.
    assert pair_auc(SHARES, EXPECTED, (1, 2)) == 1.0
    assert pair_accuracy(SHARES, EXPECTED, (1, 2)) == 1.0
    assert pair_accuracy(SHARES, EXPECTED, (0, 1)) == pytest.approx(2 / 3)


def test_paired_difference_is_narrower_than_the_intervals_of_two_alike_models() -> None:
    rng = np.random.default_rng(4)
    expected = rng.integers(3, size=300)
    first = np.eye(3)[np.where(rng.random(300) < 0.75, expected, (expected + 1) % 3)]
    second = first.copy()
    worse = np.flatnonzero(rng.random(300) < 0.05)
    second[worse] = np.eye(3)[(expected[worse] + 1) % 3]
    draws = patient_draws(np.arange(300), np.random.default_rng(5))

    found = paired_difference(first, second, expected, draws, accuracy)

    assert found["value"] == pytest.approx(
        accuracy(first, expected) - accuracy(second, expected), abs=1e-4
    )
    assert found["high"] - found["low"] < 0.06


def test_what_cannot_be_measured_is_said_so() -> None:
    assert interval(float("nan"), [float("nan")]) == {"value": None, "low": None, "high": None}
    assert said({"value": None, "low": None, "high": None}) == "–"
    assert said({"value": 0.5, "low": 0.25, "high": 0.75}) == "0.500 (0.250 to 0.750)"
