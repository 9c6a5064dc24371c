"""What a model is worth on held-out hips, with intervals over patients."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from worker.model import GRADES

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

RESAMPLES = 1000
CALIBRATION_BINS = 15


def evaluate(
    probabilities: npt.NDArray[np.floating],
    expected: Integers,
    patients: npt.NDArray[np.integer],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """All figures of one set of hips.

    ``probabilities`` : (n, 3) in ``GRADES`` order; ``expected`` : (n,) index of the true grade;
    ``patients`` : (n,) who each hip belongs to. Intervals are 95 % percentiles of a bootstrap
    that draws patients, since hips and scans of one patient are alike.
    """
    shares = np.asarray(probabilities, np.float64)
    members = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    draws = [
        np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        for _ in range(RESAMPLES)
    ]

    def with_interval(measure: Callable[[Floats, Integers], float]) -> dict[str, float]:
        values = [measure(shares[draw], expected[draw]) for draw in draws]
        low, high = np.nanpercentile(values, [2.5, 97.5])
        return {
            "value": round(measure(shares, expected), 4),
            "low": round(float(low), 4),
            "high": round(float(high), 4),
        }

    return {
        "hips": len(expected),
        "patients": len(members),
        "accuracy": with_interval(accuracy),
        "macro_auc": with_interval(macro_auc),
        # Without an interval: resampling leaves holes in the bins and only ever adds error.
        "ece": round(calibration_error(shares, expected), 4),
        "per_grade": {
            grade.value: {
                "hips": int(np.sum(expected == index)),
                "sensitivity": with_interval(partial(sensitivity, grade=index)),
                "specificity": with_interval(partial(specificity, grade=index)),
                "auc": with_interval(partial(grade_auc, grade=index)),
            }
            for index, grade in enumerate(GRADES)
        },
        "confusion": confusion(shares.argmax(axis=1), expected),
    }


def confusion(predicted: Integers, expected: Integers) -> list[list[int]]:
    """Rows are the true grades, columns the predicted ones."""
    matrix = np.zeros((len(GRADES), len(GRADES)), int)
    np.add.at(matrix, (expected, predicted), 1)
    return [[int(count) for count in row] for row in matrix]


def accuracy(probabilities: Floats, expected: Integers) -> float:
    """Share of the hips whose most probable grade is the true one."""
    return float(np.mean(probabilities.argmax(axis=1) == expected))


def sensitivity(probabilities: Floats, expected: Integers, grade: int) -> float:
    """Share of the hips of a grade that are found; NaN where there are none."""
    return _mean(probabilities.argmax(axis=1)[expected == grade] == grade)


def specificity(probabilities: Floats, expected: Integers, grade: int) -> float:
    """Share of the hips of other grades that are not called this one."""
    return _mean(probabilities.argmax(axis=1)[expected != grade] != grade)


def auc(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve as the Mann–Whitney statistic; NaN where a class is missing."""
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return float("nan")
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - count * (count + 1) / 2) / (count * others))


def grade_auc(probabilities: Floats, expected: Integers, grade: int) -> float:
    """One grade against the others, by its probability."""
    return auc(probabilities[:, grade], expected == grade)


def macro_auc(probabilities: Floats, expected: Integers) -> float:
    """Mean over the grades of one grade against the others."""
    values = [grade_auc(probabilities, expected, grade) for grade in range(len(GRADES))]
    return float(np.mean(values))


def calibration_error(probabilities: Floats, expected: Integers) -> float:
    """Expected calibration error of the top grade, 15 equal bins (Guo et al., ICML 2017)."""
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == expected
    bins = np.minimum((top * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        abs(float(right[bins == b].mean()) - float(top[bins == b].mean())) * np.mean(bins == b)
        for b in np.unique(bins)
    ]
    return float(np.sum(gaps))


def _mean(values: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
