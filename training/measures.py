"""What a model is worth on held-out hips, with intervals over patients."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from worker.model import GRADES

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]
Measure = Callable[[Floats, Integers], float]
"""(n, 3) probabilities in ``GRADES`` order, (n,) index of the true grade → a number."""

RESAMPLES = 1000
CALIBRATION_BINS = 15


def evaluate(
    probabilities: npt.NDArray[np.floating],
    expected: Integers,
    patients: npt.NDArray[Any],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """All figures of one set of hips.

    ``patients`` : (n,) who each hip belongs to. Intervals are 95 % percentiles of a bootstrap
    that draws patients, since hips and scans of one patient are alike.
    """
    shares = np.asarray(probabilities, np.float64)
    draws = patient_draws(patients, rng)

    def with_interval(measure: Measure) -> dict[str, float | None]:
        values = [measure(shares[draw], expected[draw]) for draw in draws]
        return interval(measure(shares, expected), values)

    return {
        "hips": len(expected),
        "patients": len(set(patients.tolist())),
        **{name: with_interval(measure) for name, measure in OVERALL.items()},
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
        "pairs": {
            f"{GRADES[a].value}/{GRADES[b].value}": {
                "auc": with_interval(partial(pair_auc, pair=(a, b))),
                "accuracy": with_interval(partial(pair_accuracy, pair=(a, b))),
            }
            for a, b in combinations(range(len(GRADES)), 2)
        },
        "confusion": confusion(shares.argmax(axis=1), expected),
    }


def patient_draws(
    patients: npt.NDArray[Any], rng: np.random.Generator, resamples: int = RESAMPLES
) -> list[Integers]:
    """Bootstrap samples of hips, drawn as whole patients."""
    members = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    return [
        np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        for _ in range(resamples)
    ]


def interval(value: float, resampled: Sequence[float]) -> dict[str, float | None]:
    """A value with the 95 % percentiles of its bootstrap; None where there is none."""
    known = [each for each in resampled if np.isfinite(each)]
    low, high = np.percentile(known, [2.5, 97.5]) if known else (np.nan, np.nan)
    numbers = {"value": value, "low": float(low), "high": float(high)}
    return {name: round(n, 4) if np.isfinite(n) else None for name, n in numbers.items()}


def said(measure: Mapping[str, float | None], sign: str = "") -> str:
    """A value with its interval, for tables; ``sign`` ``+`` for differences."""
    if measure["value"] is None:
        return "–"
    if measure["low"] is None:
        return f"{measure['value']:{sign}.3f}"
    value, low, high = (f"{measure[name]:{sign}.3f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def paired_difference(
    first: Floats,
    second: Floats,
    expected: Integers,
    draws: Sequence[Integers],
    measure: Measure,
) -> dict[str, float | None]:
    """How much better the first model is on the same hips; each draw asks both."""

    def difference(chosen: Integers) -> float:
        return measure(first[chosen], expected[chosen]) - measure(
            second[chosen], expected[chosen]
        )

    return interval(difference(np.arange(len(expected))), [difference(draw) for draw in draws])


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


def precision(probabilities: Floats, expected: Integers, grade: int) -> float:
    """Share of the hips called a grade that have it; NaN where none is called so."""
    return _mean(expected[probabilities.argmax(axis=1) == grade] == grade)


def f1(probabilities: Floats, expected: Integers, grade: int) -> float:
    """Harmonic mean of sensitivity and precision; 0 where no hip of the grade is found."""
    predicted = probabilities.argmax(axis=1) == grade
    found = float(np.sum(predicted & (expected == grade)))
    total = float(predicted.sum() + np.sum(expected == grade))
    return 2 * found / total if total else float("nan")


def pair_auc(probabilities: Floats, expected: Integers, pair: tuple[int, int]) -> float:
    """The more severe of two grades against the other, among the hips of the two."""
    return auc(*_pair(probabilities, expected, pair))


def pair_accuracy(probabilities: Floats, expected: Integers, pair: tuple[int, int]) -> float:
    """Share of the hips of two grades whose more probable one of the two is the true one."""
    share, severe = _pair(probabilities, expected, pair)
    return _mean((share > 0.5) == severe)


def _pair(
    probabilities: Floats, expected: Integers, pair: tuple[int, int]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    mild, severe = pair
    chosen = (expected == mild) | (expected == severe)
    two = probabilities[chosen][:, [mild, severe]]
    return two[:, 1] / np.maximum(two.sum(axis=1), 1e-12), expected[chosen] == severe


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


def _over_grades(measure: Callable[[Floats, Integers, int], float]) -> Measure:
    """The unweighted mean over the grades, as the paper averages."""

    def mean(probabilities: Floats, expected: Integers) -> float:
        return float(np.mean([measure(probabilities, expected, g) for g in range(len(GRADES))]))

    return mean


def calibration_floor(
    probabilities: Floats, rng: np.random.Generator, resamples: int = 60
) -> float:
    """The calibration error that a model would show whose probabilities were exactly right, for
    want of more hips: the mean over grades drawn from the probabilities themselves."""
    below = np.cumsum(probabilities, axis=1)[:, :-1]
    draws = rng.random((resamples, len(probabilities), 1))
    return float(
        np.mean([calibration_error(probabilities, (d > below).sum(axis=1)) for d in draws])
    )


def _mean(values: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


OVERALL: Mapping[str, Measure] = {
    "accuracy": accuracy,
    "sensitivity": _over_grades(sensitivity),
    "specificity": _over_grades(specificity),
    "precision": _over_grades(precision),
    "f1": _over_grades(f1),
    "macro_auc": macro_auc,
}
"""The columns of the paper's Table 2."""
