"""Figures of a model on labeled hips, with intervals by a bootstrap over patients.

The measures are scikit-learn's; the expected calibration error, which it lacks, is here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn import metrics

from worker.pipeline.model.networks import GRADES

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]
Measure = Callable[[Floats, Integers], float]
"""Function of (n, 3) probabilities in ``GRADES`` order and (n,) indices of the true grade."""

WithInterval = Callable[[str, int | None], dict[str, float | None]]
"""Function of a name of ``Figures`` and the index of a grade or pair, None for the mean."""

RESAMPLES = 1000
CALIBRATION_BINS = 15
GRADE_INDICES = range(len(GRADES))
PAIRS = tuple(combinations(GRADE_INDICES, 2))
OVERALL = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "f1",
    "macro_auc": "auc",
}
"""Columns of the paper's Table 2 and the fields of ``Figures`` that they average."""
PER_GRADE = ("sensitivity", "specificity", "auc")


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one sample of hips; NaN where a figure is undefined.

    ``sensitivity``, ``specificity``, ``precision``, ``f1``, ``auc`` : (3,), one per grade,
    against the other two. ``pair_auc``, ``pair_accuracy`` : (3,), one per pair of ``PAIRS``.
    """

    accuracy: float
    sensitivity: Floats
    specificity: Floats
    precision: Floats
    f1: Floats
    auc: Floats
    pair_auc: Floats
    pair_accuracy: Floats

    def value(self, name: str, index: int | None = None) -> float:
        """Return a figure of one grade or pair, or without an index its unweighted mean."""
        values = getattr(self, name)
        return float(np.mean(values) if index is None else values[index])


def figures(probabilities: Floats, expected: Integers) -> Figures:
    """Return all figures of one sample of hips."""
    predicted = probabilities.argmax(axis=1)
    labels = list(GRADE_INDICES)
    # Both functions return NaN, without a warning, where a denominator is 0.
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        expected, predicted, labels=labels, zero_division=np.nan
    )
    counts = metrics.multilabel_confusion_matrix(expected, predicted, labels=labels)
    negatives = counts[:, 0].sum(axis=1)
    specificity = np.divide(
        counts[:, 0, 0], negatives, out=np.full(len(labels), np.nan), where=negatives > 0
    )
    return Figures(
        accuracy=accuracy(probabilities, expected),
        sensitivity=recall,
        specificity=specificity,
        precision=precision,
        f1=f1,
        auc=np.array([grade_auc(probabilities, expected, grade) for grade in labels]),
        pair_auc=np.array([pair_auc(probabilities, expected, pair) for pair in PAIRS]),
        pair_accuracy=np.array(
            [pair_accuracy(probabilities, expected, pair) for pair in PAIRS]
        ),
    )


def measure_performance(
    probabilities: npt.NDArray[np.floating],
    expected: Integers,
    patients: npt.NDArray[Any],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Return all figures of a set of hips with 95 % percentile intervals.

    ``patients`` : (n,) patient of each hip. The bootstrap draws patients, because hips and
    scans of one patient are correlated.
    """
    shares = np.asarray(probabilities, np.float64)
    whole = figures(shares, expected)
    draws = patient_draws(patients, rng, resamples)
    # Parameters are valid for all samples if they are for the whole set.
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        samples = [figures(shares[draw], expected[draw]) for draw in draws]

    def with_interval(name: str, index: int | None = None) -> dict[str, float | None]:
        value = whole.value(name, index)
        if value in (0.0, 1.0) and (name == "accuracy" or index is not None):
            counted = _counted(name, index, expected)
            if counted is not None:
                return extreme_interval(value, len(set(patients[counted].tolist())))
        return interval(value, [sample.value(name, index) for sample in samples])

    return {
        "hips": len(expected),
        "patients": len(set(patients.tolist())),
        **{key: with_interval(name) for key, name in OVERALL.items()},
        # Without an interval: resampling empties some bins, which only increases the error.
        "ece": round(calibration_error(shares, expected), 4),
        "per_grade": _per_grade(expected, with_interval),
        "pairs": _per_pair(with_interval),
        "confusion": confusion(shares.argmax(axis=1), expected),
    }


def _per_grade(expected: Integers, with_interval: WithInterval) -> dict[str, Any]:
    return {
        grade.value: {
            "hips": int(np.sum(expected == index)),
            **{name: with_interval(name, index) for name in PER_GRADE},
        }
        for index, grade in enumerate(GRADES)
    }


def _per_pair(with_interval: WithInterval) -> dict[str, Any]:
    return {
        f"{GRADES[a].value}/{GRADES[b].value}": {
            "auc": with_interval("pair_auc", index),
            "accuracy": with_interval("pair_accuracy", index),
        }
        for index, (a, b) in enumerate(PAIRS)
    }


def _counted(name: str, grade: int | None, expected: Integers) -> npt.NDArray[np.bool_] | None:
    """Return the hips of which a share is the figure, (n,); None where it is no share."""
    if name == "accuracy":
        return np.ones(len(expected), bool)
    of_grade: npt.NDArray[np.bool_] = expected == grade
    if name == "sensitivity":
        return of_grade
    return ~of_grade if name == "specificity" else None


def extreme_interval(value: float, count: int) -> dict[str, float | None]:
    """Return a share of 0 or 1 of ``count`` patients with its 95 % Wilson interval.

    Every bootstrap sample of such hips has the same share, which would look certain.
    """
    bound = 1.96**2 / (count + 1.96**2)
    low, high = (0.0, bound) if value == 0 else (1 - bound, 1.0)
    return {"value": value, "low": round(low, 4), "high": round(high, 4)}


def patient_draws(
    patients: npt.NDArray[Any], rng: np.random.Generator, resamples: int = RESAMPLES
) -> list[Integers]:
    """Return bootstrap samples of hip indices, drawn as whole patients."""
    members = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    return [
        np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        for _ in range(resamples)
    ]


def interval(value: float, resampled: Sequence[float]) -> dict[str, float | None]:
    """Return a value with the 95 % percentiles of its bootstrap; None where undefined."""
    known = [each for each in resampled if np.isfinite(each)]
    low, high = np.percentile(known, [2.5, 97.5]) if known else (np.nan, np.nan)
    numbers = {"value": value, "low": float(low), "high": float(high)}
    return {name: round(n, 4) if np.isfinite(n) else None for name, n in numbers.items()}


def format_interval(measure: Mapping[str, float | None], sign: str = "") -> str:
    """Return a value with its interval as text; ``sign`` : ``+`` for differences."""
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
    """Return the first model's figure minus the second's; each draw measures both models."""

    def difference(chosen: Integers) -> float:
        return measure(first[chosen], expected[chosen]) - measure(
            second[chosen], expected[chosen]
        )

    return interval(difference(np.arange(len(expected))), [difference(draw) for draw in draws])


def confusion(predicted: Integers, expected: Integers) -> list[list[int]]:
    """Return the confusion matrix: rows are the true grades, columns the predicted ones."""
    matrix = metrics.confusion_matrix(expected, predicted, labels=list(GRADE_INDICES))
    return [[int(count) for count in row] for row in matrix]


def accuracy(probabilities: Floats, expected: Integers) -> float:
    """Return the share of the hips whose most probable grade is the true one."""
    return float(metrics.accuracy_score(expected, probabilities.argmax(axis=1)))


def auc(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve; NaN where a class is missing."""
    if not positive.any() or positive.all():
        return float("nan")
    false_positive, true_positive, _ = metrics.roc_curve(positive, scores)
    return float(metrics.auc(false_positive, true_positive))


def grade_auc(probabilities: Floats, expected: Integers, grade: int) -> float:
    """Return the AUC of one grade against the other two, by its probability."""
    return auc(probabilities[:, grade], expected == grade)


def macro_auc(probabilities: Floats, expected: Integers) -> float:
    """Return the mean AUC over the grades; NaN where a grade is missing."""
    return float(np.mean([grade_auc(probabilities, expected, g) for g in GRADE_INDICES]))


def pair_auc(probabilities: Floats, expected: Integers, pair: tuple[int, int]) -> float:
    """Return the AUC of the more severe of two grades, among the hips of the two."""
    return auc(*_pair(probabilities, expected, pair))


def pair_accuracy(probabilities: Floats, expected: Integers, pair: tuple[int, int]) -> float:
    """Return the accuracy of the more probable of two grades, among the hips of the two."""
    share, severe = _pair(probabilities, expected, pair)
    return float(metrics.accuracy_score(severe, share > 0.5)) if len(severe) else float("nan")


def _pair(
    probabilities: Floats, expected: Integers, pair: tuple[int, int]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    mild, severe = pair
    chosen = (expected == mild) | (expected == severe)
    two = probabilities[chosen][:, [mild, severe]]
    return two[:, 1] / np.maximum(two.sum(axis=1), 1e-12), expected[chosen] == severe


def calibration_error(probabilities: Floats, expected: Integers) -> float:
    """Return the expected calibration error of the most probable grade, over 15 equal bins.

    Source: Guo et al., ICML 2017.
    """
    top = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == expected
    bins = np.minimum((top * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        abs(float(correct[bins == b].mean()) - float(top[bins == b].mean()))
        * np.mean(bins == b)
        for b in np.unique(bins)
    ]
    return float(np.sum(gaps))


def calibration_floor(
    probabilities: Floats, rng: np.random.Generator, resamples: int = 60
) -> float:
    """Return the calibration error that exact probabilities would show on so few hips.

    It is the mean over grades drawn from the probabilities themselves.
    """
    below = np.cumsum(probabilities, axis=1)[:, :-1]
    draws = rng.random((resamples, len(probabilities), 1))  # (resample, hip, 1)
    return float(
        np.mean([calibration_error(probabilities, (d > below).sum(axis=1)) for d in draws])
    )
