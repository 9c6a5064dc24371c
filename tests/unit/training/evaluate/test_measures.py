"""Each figure of a small case by hand; figures against their definitions; intervals.

Intervals are over patients and not over hips.
"""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from training.evaluate.measures import (
    OVERALL,
    PAIRS,
    accuracy,
    auc,
    calibration_error,
    calibration_floor,
    confusion,
    figures,
    format_interval,
    interval,
    macro_auc,
    measure_performance,
    paired_difference,
    patient_draws,
)

SHARES = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
EXPECTED = np.array([0, 1, 1, 2])


def test_figures_of_a_small_case() -> None:
    found = figures(SHARES, EXPECTED)

    assert confusion(SHARES.argmax(axis=1), EXPECTED) == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert found.accuracy == 0.75
    assert found.sensitivity.tolist() == [1, 0.5, 1]
    assert found.specificity == pytest.approx([2 / 3, 1, 1])
    assert found.precision.tolist() == [0.5, 1, 1]
    assert found.f1 == pytest.approx([2 / 3, 2 / 3, 1])
    # Osteopenia .5 to .3 and .3 to .1 against osteoporosis .1 to .8: all in order.
    assert found.pair_auc[PAIRS.index((1, 2))] == 1.0
    assert found.pair_accuracy == pytest.approx([2 / 3, 1, 1])


@pytest.mark.parametrize("decimals", [1, 8], ids=["ties", "no ties"])
def test_figures_equal_their_definitions(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    expected = rng.integers(3, size=200)
    shares = np.round(rng.dirichlet((1, 1, 1), 200), decimals) + 0.3 * np.eye(3)[expected]
    predicted = shares.argmax(axis=1)

    found = figures(shares, expected)

    assert found.accuracy == np.mean(predicted == expected)
    for grade in range(3):
        true, called = expected == grade, predicted == grade
        assert found.sensitivity[grade] == np.mean(called[true])
        assert found.specificity[grade] == np.mean(~called[~true])
        assert found.precision[grade] == np.mean(true[called])
        assert found.f1[grade] == pytest.approx(
            2 * np.sum(true & called) / (true.sum() + called.sum()), rel=1e-12
        )
        scores = shares[:, grade]
        in_order = mannwhitneyu(scores[true], scores[~true]).statistic
        assert found.auc[grade] == pytest.approx(
            in_order / (true.sum() * (~true).sum()), rel=1e-12
        )
    for index, (mild, severe) in enumerate(PAIRS):
        chosen = (expected == mild) | (expected == severe)
        ratio = shares[chosen, severe] / shares[chosen][:, [mild, severe]].sum(axis=1)
        true = expected[chosen] == severe
        in_order = mannwhitneyu(ratio[true], ratio[~true]).statistic
        assert found.pair_accuracy[index] == np.mean((ratio > 0.5) == true)
        assert found.pair_auc[index] == pytest.approx(
            in_order / (true.sum() * (~true).sum()), rel=1e-12
        )


def test_figures_of_a_missing_grade_are_undefined() -> None:
    found = figures(SHARES[:3], EXPECTED[:3])

    assert np.isnan([found.sensitivity[2], found.precision[2], found.f1[2], found.auc[2]]).all()
    assert np.isnan(macro_auc(SHARES[:3], EXPECTED[:3]))
    assert found.specificity[2] == 1
    only_normal = figures(SHARES[:1], EXPECTED[:1])
    assert np.isnan(only_normal.specificity[0])
    assert np.isnan(only_normal.pair_accuracy[PAIRS.index((1, 2))])


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


def test_exact_probabilities_show_a_calibration_error_on_few_hips_only() -> None:
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
        measured = measure_performance(
            shares, expected, patients, np.random.default_rng(2), resamples=200
        )["accuracy"]
        assert measured["low"] <= measured["value"] <= measured["high"]
        return float(measured["high"] - measured["low"])

    assert width(np.repeat(np.arange(20), 10)) > 2 * width(np.arange(200))


def test_performance_holds_the_figures_of_the_whole_set() -> None:
    patients = np.array(["a", "a", "b", "c"])

    found = measure_performance(
        SHARES, EXPECTED, patients, np.random.default_rng(0), resamples=20
    )

    assert (found["hips"], found["patients"]) == (4, 3)
    assert {name: found[name]["value"] for name in OVERALL} == {
        "accuracy": 0.75,
        "sensitivity": 0.8333,
        "specificity": 0.8889,
        "precision": 0.8333,
        "f1": 0.7778,
        "macro_auc": round(macro_auc(SHARES, EXPECTED), 4),
    }
    assert found["per_grade"]["osteopenia"]["hips"] == 2
    assert found["per_grade"]["osteopenia"]["sensitivity"]["value"] == 0.5
    assert found["pairs"]["normal/osteopenia"]["accuracy"]["value"] == 0.6667
    assert found["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_paired_difference_is_narrower_than_the_intervals_of_two_similar_models() -> None:
    rng = np.random.default_rng(4)
    expected = rng.integers(3, size=300)
    first = np.eye(3)[np.where(rng.random(300) < 0.75, expected, (expected + 1) % 3)]
    second = first.copy()
    worse = np.flatnonzero(rng.random(300) < 0.05)
    second[worse] = np.eye(3)[(expected[worse] + 1) % 3]
    draws = patient_draws(np.arange(300), np.random.default_rng(5), 300)

    found = paired_difference(first, second, expected, draws, accuracy)

    assert found["value"] == pytest.approx(
        accuracy(first, expected) - accuracy(second, expected), abs=1e-4
    )
    assert found["high"] - found["low"] < 0.06


def test_undefined_figures_are_null_and_printed_as_a_dash() -> None:
    assert interval(float("nan"), [float("nan")]) == {"value": None, "low": None, "high": None}
    assert format_interval({"value": None, "low": None, "high": None}) == "–"
    assert format_interval({"value": 0.5, "low": None, "high": None}) == "0.500"
    assert (
        format_interval({"value": 0.5, "low": 0.25, "high": 0.75}) == "0.500 (0.250 to 0.750)"
    )


def test_a_share_of_all_hips_has_an_interval_that_depends_on_their_number() -> None:
    """Wilson: 4 of 4 patients are 0.51 to 1 (statsmodels gives the same)."""
    probabilities = np.eye(3)[[0, 1, 2, 1]]
    measured = measure_performance(
        probabilities, np.array([0, 1, 2, 1]), np.array(list("abcd")),
        np.random.default_rng(0), 10,
    )  # fmt: skip

    assert measured["accuracy"] == {"value": 1.0, "low": 0.5101, "high": 1.0}
    per_grade = measured["per_grade"]
    assert per_grade["osteopenia"]["sensitivity"] == {"value": 1.0, "low": 0.3424, "high": 1.0}
    assert per_grade["osteopenia"]["specificity"]["low"] == 0.3424
