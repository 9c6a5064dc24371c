"""Limits on the probability of osteoporosis for a wished sensitivity or specificity."""

import numpy as np
import pytest

from training.evaluate.operating_point import choose_limit, measure_at, parse

SCORES = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.5, 0.7, 0.9])
POSITIVE = np.array([False] * 4 + [True] * 4)
PATIENTS = np.array(list("abcdefgh"))


@pytest.mark.parametrize(
    ("wish", "limit", "sensitivity", "specificity"),
    [
        ("sensitivity=0.99", 0.4, 1.0, 0.75),
        ("sensitivity=0.75", 0.5, 0.75, 0.75),
        ("sensitivity=0.5", 0.7, 0.5, 1.0),
        ("specificity=0.75", 0.4, 1.0, 0.75),
        ("specificity=0.9", 0.7, 0.5, 1.0),
    ],
)
def test_limit_reaches_the_target(
    wish: str, limit: float, sensitivity: float, specificity: float
) -> None:
    assert choose_limit(SCORES, POSITIVE, parse(wish)) == limit

    measured = measure_at(limit, SCORES, POSITIVE, PATIENTS)
    assert measured["sensitivity"]["value"] == sensitivity
    assert measured["specificity"]["value"] == specificity


def test_intervals_are_of_the_number_of_patients() -> None:
    """Wilson: 4 of 4 are 0.51 to 1, 2 of 2 are 0.34 to 1."""
    alone = measure_at(0.4, SCORES, POSITIVE, PATIENTS)["sensitivity"]
    pairs = measure_at(0.4, SCORES, POSITIVE, np.array(list("abcdeeff")))["sensitivity"]

    assert alone == {"hips": 4, "value": 1.0, "low": 0.5101, "high": 1.0}
    assert pairs == {"hips": 4, "value": 1.0, "low": 0.3424, "high": 1.0}


def test_a_limit_may_lie_above_every_score() -> None:
    limit = choose_limit(SCORES, POSITIVE[::-1], parse("specificity=0.9"))

    assert 0.9 < limit < 0.91


@pytest.mark.parametrize("text", ["sensitivity", "auc=0.9", "sensitivity=1.5", "specificity=x"])
def test_another_wish_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected sensitivity=0\.9"):
        parse(text)


def test_a_missing_class_is_named() -> None:
    with pytest.raises(ValueError, match="with and without osteoporosis"):
        choose_limit(SCORES, np.zeros(8, bool), parse("sensitivity=0.9"))
