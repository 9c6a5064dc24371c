"""Operating point: a limit on the probability of osteoporosis, chosen on validation hips."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from worker.pipeline.model.networks import GRADES
from worker.pipeline.results import Grade

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
POSITIVE = GRADES.index(Grade.OSTEOPOROSIS)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A wished sensitivity or specificity for osteoporosis."""

    measure: Literal["sensitivity", "specificity"]
    target: float


def parse(text: str) -> OperatingPoint:
    """Read ``sensitivity=0.9``. Raises ValueError."""
    measure, _, number = text.partition("=")
    try:
        target = float(number)
    except ValueError:
        target = 0.0
    if measure not in ("sensitivity", "specificity") or not 0 < target < 1:
        raise ValueError(
            f"--operating-point {text}: expected sensitivity=0.9 or specificity=0.9, between "
            "0 and 1"
        )
    return OperatingPoint(measure, target)  # type: ignore[arg-type]


def choose_limit(scores: Floats, positive: Flags, point: OperatingPoint) -> float:
    """Return the limit that reaches the target with the most of the other measure.

    ``scores`` : (n,) probabilities of osteoporosis. A hip is positive from the limit on.
    ``positive`` : (n,) whether DXA says osteoporosis.

    Raises ValueError where a class is missing.
    """
    if not positive.any() or positive.all():
        raise ValueError(
            "an operating point needs validation hips with and without osteoporosis; prepare "
            "more series"
        )
    limits = np.unique(scores)
    if point.measure == "sensitivity":
        reached = [
            limit for limit in limits if np.mean(scores[positive] >= limit) >= point.target
        ]
        return float(max(reached))
    negative = scores[~positive]
    reached = [limit for limit in limits if np.mean(negative < limit) >= point.target]
    return float(min(reached, default=np.nextafter(limits[-1], 2)))


def measure_at(
    limit: float, scores: Floats, positive: Flags, patients: npt.NDArray[Any]
) -> dict[str, Any]:
    """Return sensitivity and specificity at a limit with 95 % Wilson intervals.

    ``patients`` : (n,). The intervals are of as many observations as there are patients,
    because the hips of one patient are correlated.
    """
    above = scores >= limit
    return {
        "sensitivity": _share(above[positive], patients[positive]),
        "specificity": _share(~above[~positive], patients[~positive]),
    }


def _share(right: Flags, patients: npt.NDArray[Any]) -> dict[str, float | int | None]:
    if not len(right):
        return {"hips": 0, "value": None, "low": None, "high": None}
    count = len(set(patients.tolist()))
    value = float(np.mean(right))
    found = binomtest(round(value * count), count).proportion_ci(method="wilson")
    return {
        "hips": len(right),
        "value": round(value, 4),
        "low": round(float(found.low), 4),
        "high": round(float(found.high), 4),
    }
