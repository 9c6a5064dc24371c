"""Accuracy of grades against DXA: which CT and DXA are compared, and the measures."""

from datetime import date, timedelta

import pytest

from db.dxa import Pair
from db.models import HipResult, Screening
from worker.pipeline.results import Grade
from worker.review import accuracy
from worker.review.accuracy import Comparison, Proportion

DAY = date(2026, 11, 20)
OSTEOPOROSIS = frozenset({Grade.OSTEOPOROSIS})


def hip(side: str, grade: str | None, probability: float = 0.5) -> HipResult:
    return HipResult(side=side, grade=grade, probability_osteoporosis=probability)


def pair(
    patient: str,
    t_score: float,
    *hips: HipResult,
    days: int = 0,
    side: str | None = None,
    series: int = 1,
) -> Pair:
    return Pair(
        patient=(patient, None),
        dxa_date=DAY + timedelta(days=days),
        dxa_side=side,
        t_score=t_score,
        series_id=series,
        study_date=DAY,
        screening=Screening() if hips else None,
        hips=hips,
    )


def test_the_worse_hip_is_compared_with_the_lowest_t_score() -> None:
    both = hip("R", "normal", 0.1), hip("L", "osteopenia", 0.3)
    pairs = [pair("a", -0.5, *both), pair("a", -2.6, *both)]

    found, ungraded = accuracy.compare(pairs)

    assert found == [Comparison(Grade.OSTEOPOROSIS, Grade.OSTEOPENIA, 0.3, 0)]
    assert ungraded == 0


def test_only_the_hip_that_dxa_measured_is_compared() -> None:
    both = hip("R", "osteoporosis", 0.9), hip("L", "normal", 0.1)

    found, _ = accuracy.compare([pair("a", 0.0, *both, side="L")])

    assert found == [Comparison(Grade.NORMAL, Grade.NORMAL, 0.1, 0)]


def test_a_patient_counts_once_by_the_nearest_dates() -> None:
    far = pair("a", -3.0, hip("R", "normal"), days=80, series=1)
    near = pair("a", -1.5, hip("R", "osteopenia"), days=-9, series=2)

    found, _ = accuracy.compare([far, near])

    assert [(one.reference, one.days_apart) for one in found] == [(Grade.OSTEOPENIA, 9)]


def test_patients_without_a_graded_ct_are_counted_separately() -> None:
    rejected = pair("a", -3.0)
    other_hip = pair("b", -3.0, hip("R", "normal"), hip("L", None), side="L")

    assert accuracy.compare([rejected, other_hip]) == ([], 2)


def comparisons(true: int, missed: int, false: int, rest: int) -> list[Comparison]:
    ill, well = Grade.OSTEOPOROSIS, Grade.NORMAL
    counts = ((ill, ill, true), (ill, well, missed), (well, ill, false), (well, well, rest))
    return [
        Comparison(by_dxa, by_ct, 0.9 if by_ct is ill else 0.1, 0)
        for by_dxa, by_ct, count in counts
        for _ in range(count)
    ]


def test_measures_of_a_known_table() -> None:
    found = accuracy.measures(comparisons(8, 2, 5, 35), OSTEOPOROSIS)

    assert {name: (one.count, one.total) for name, one in found.items()} == {
        "Sensitivity": (8, 10),
        "Specificity": (35, 40),
        "Positive predictive value": (8, 13),
        "Negative predictive value": (35, 37),
    }


def test_wilson_interval_equals_published_values() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857–872, Table I: 81 of 263 and 0 of 20.
    assert Proportion(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert Proportion(0, 20).interval == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert Proportion(0, 0).interval is None
    assert Proportion(0, 0).value is None


def test_calibration_bins_and_brier_score() -> None:
    found = comparisons(3, 1, 1, 5)

    bins = accuracy.calibration(found)

    assert [(one.low, one.observed.count, one.observed.total) for one in bins] == [
        (0.0, 1, 6),
        (0.8, 3, 4),
    ]
    assert bins[0].mean == pytest.approx(0.1)
    assert accuracy.brier_score(found) == pytest.approx((8 * 0.01 + 2 * 0.81) / 10)
    assert accuracy.brier_score([]) is None


def test_a_probability_of_one_is_in_the_last_bin() -> None:
    one = Comparison(Grade.OSTEOPOROSIS, Grade.OSTEOPOROSIS, 1.0, 0)

    assert [(bin_.low, bin_.high) for bin_ in accuracy.calibration([one])] == [(0.8, 1.0)]


def test_the_confusion_table_has_every_patient_once() -> None:
    table = accuracy.confusion(comparisons(8, 2, 5, 35))

    assert table[Grade.OSTEOPOROSIS][Grade.NORMAL] == 2
    assert sum(count for row in table.values() for count in row.values()) == 50
