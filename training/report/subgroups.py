"""Accuracy of subgroups of the test hips."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.cohort.dataset import Hips, Record
from training.evaluate.measures import accuracy, interval, patient_draws
from training.report.results import Predictions

MINIMUM_HIPS = 10
"""Smaller subgroups are not reported."""


@dataclass(frozen=True, slots=True)
class SubgroupAccuracy:
    """Accuracy with interval of one member (``women``) of a group (``sex``)."""

    group: str
    member: str
    hips: int
    accuracy: Mapping[str, float | None]


def subgroups(
    predictions: Predictions, test: Hips, expected: npt.NDArray[np.intp]
) -> list[SubgroupAccuracy]:
    """Return the accuracy of every subgroup with at least ``MINIMUM_HIPS`` hips."""
    rows: list[SubgroupAccuracy] = []
    for group, member_of in GROUPS.items():
        members = np.array([member_of(record) or "" for record in test.records])
        for member in sorted(set(members.tolist()) - {""}):
            chosen = np.flatnonzero(members == member)
            if len(chosen) < MINIMUM_HIPS:
                continue
            shares, truth = predictions.probabilities[chosen], expected[chosen]
            draws = patient_draws(test.patients[chosen], np.random.default_rng(5), 400)
            values = [accuracy(shares[draw], truth[draw]) for draw in draws]
            measured = interval(accuracy(shares, truth), values)
            rows.append(SubgroupAccuracy(group, member, len(chosen), measured))
    return rows


def _band(name: str, limits: tuple[float, ...], unit: str) -> Callable[[Record], str | None]:
    def member(record: Record) -> str | None:
        value = getattr(record, name)
        if value is None:
            return None
        low = max((limit for limit in limits if value >= limit), default=None)
        high = min((limit for limit in limits if value < limit), default=None)
        if low is None:
            return f"< {high:g} {unit}".strip()
        return f"{low:g}–{high:g} {unit}".strip() if high else f"≥ {low:g} {unit}".strip()

    return member


GROUPS: Mapping[str, Callable[[Record], str | None]] = {
    "sex": lambda record: {"F": "women", "M": "men"}.get(record.sex or ""),
    "age": _band("age", (50, 65, 80), "years"),
    "size": _band("bmi", (18.5, 25, 30), "kg/m²"),
    "kernel": lambda record: record.kernel,
    "slices": _band("thickness_mm", (2.5, 3.0, 4.0), "mm"),
    "plane": lambda record: record.orientation,
    "contrast": lambda record: {True: "yes", False: "no"}.get(bool(record.enhanced)),
}
