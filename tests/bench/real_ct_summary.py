"""Figures of the renderings of each real hip, and a table of them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

OSTEOPOROSIS = "osteoporosis"
# The probabilities are rounded to 6 decimals.
SMALLEST_P = 1e-6
COLUMNS = (
    "hip", "graded", "refused", "head mm", "neck HU", "CV %", "bias HU", "worst HU",
    "logit SD", "changed %", "P SD", "distance",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HipReading:
    """One hip in one rendering.

    ``reason`` : code of the reason against a grade. ``probabilities``, ``distance`` : of the
    crop, also where it was refused.
    """

    hip: str
    rendering: str
    plane: str
    thickness_mm: float
    reason: str | None
    head_off_mm: float | None = None
    neck_hu: float | None = None
    probabilities: Mapping[str, float] | None = None
    distance: float | None = None

    @property
    def grade(self) -> str | None:
        """The most probable grade of a hip that was graded."""
        if self.reason is not None or self.probabilities is None:
            return None
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def p(self) -> float | None:
        """Probability of osteoporosis."""
        return None if self.probabilities is None else self.probabilities[OSTEOPOROSIS]


@dataclass(frozen=True, slots=True)
class HipSummary:
    """Spread over the renderings of one hip.

    ``neck_bias_hu`` : mean less the value of the thinnest series. ``neck_worst_hu`` : largest
    distance from it. ``changed`` : share of the grades that differ from the most frequent one.
    """

    renderings: int
    graded: int
    refused: Mapping[str, int] = field(default_factory=dict)
    head_off_mm: float | None = None
    neck_measured: int = 0
    neck_hu: float | None = None
    neck_cv_percent: float | None = None
    neck_bias_hu: float | None = None
    neck_worst_hu: float | None = None
    logit_sd: float | None = None
    changed: float | None = None
    p_sd: float | None = None
    distance: tuple[float, float] | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table, in the order of ``COLUMNS`` after the hip's name."""
        refused = ", ".join(f"{count} {code}" for code, count in self.refused.items())
        return (
            f"{self.graded}/{self.renderings}", refused or "–", _cell(self.head_off_mm, 1),
            _cell(self.neck_hu, 0), _cell(self.neck_cv_percent, 1), _cell(self.neck_bias_hu, 1),
            _cell(self.neck_worst_hu, 1), _cell(self.logit_sd, 2),
            _cell(None if self.changed is None else 100 * self.changed, 0),
            _cell(self.p_sd, 3),
            "–" if self.distance is None else "{:.2f}–{:.2f}".format(*self.distance),
        )  # fmt: skip


def summarize(readings: Sequence[HipReading]) -> dict[str, HipSummary]:
    """Return the summary of each hip."""
    names = dict.fromkeys(one.hip for one in readings)
    return {name: _summary([one for one in readings if one.hip == name]) for name in names}


def _summary(readings: Sequence[HipReading]) -> HipSummary:
    grades = [one.grade for one in readings if one.grade is not None]
    off_mm = [one.head_off_mm for one in readings if one.head_off_mm is not None]
    p = np.clip([one.p for one in readings if one.p is not None], SMALLEST_P, 1 - SMALLEST_P)
    distances = [one.distance for one in readings if one.distance is not None]
    mean, cv, bias, worst = _neck(readings)
    return HipSummary(
        renderings=len(readings),
        graded=len(grades),
        refused=dict(Counter(one.reason for one in readings if one.reason is not None)),
        head_off_mm=max(off_mm, default=None),
        neck_measured=sum(one.neck_hu is not None for one in readings),
        neck_hu=mean,
        neck_cv_percent=cv,
        neck_bias_hu=bias,
        neck_worst_hu=worst,
        logit_sd=_sd(np.log(p / (1 - p))),
        changed=1 - Counter(grades).most_common(1)[0][1] / len(grades) if grades else None,
        p_sd=_sd(p),
        distance=(min(distances), max(distances)) if distances else None,
    )


def _neck(readings: Sequence[HipReading]) -> tuple[float | None, ...]:
    """Return mean HU, coefficient of variation, bias and largest error to the thinnest."""
    measured = [(one.thickness_mm, one.neck_hu) for one in readings if one.neck_hu is not None]
    if len(measured) < 2:
        return None, None, None, None
    hu = np.array([value for _, value in measured])
    # The first of the thinnest is that without noise.
    thinnest = min(measured, key=lambda one: one[0])[1]
    mean = float(hu.mean())
    cv = 100 * float(hu.std(ddof=1)) / abs(mean)
    return mean, cv, mean - thinnest, float(np.abs(hu - thinnest).max())


def differences(readings: Sequence[HipReading]) -> dict[str, dict[str, float]]:
    """Return the mean difference of left and right in the same rendering, of each patient."""
    found: dict[str, dict[str, list[float]]] = {}
    by_hip = {(one.hip, one.rendering): one for one in readings}
    for (name, rendering), right in by_hip.items():
        case, _, side = name.rpartition(" ")
        left = by_hip.get((f"{case} L", rendering))
        if side != "R" or left is None:
            continue
        lists = found.setdefault(case, {"neck_hu": [], "p_osteoporosis": []})
        if right.neck_hu is not None and left.neck_hu is not None:
            lists["neck_hu"].append(abs(right.neck_hu - left.neck_hu))
        if right.p is not None and left.p is not None:
            lists["p_osteoporosis"].append(abs(right.p - left.p))
    return {
        case: {key: sum(values) / len(values) for key, values in lists.items() if values}
        for case, lists in found.items()
    }


def table(summaries: Mapping[str, HipSummary]) -> str:
    """Return the summaries as a Markdown table."""
    rows = [(name, *summary.cells()) for name, summary in summaries.items()]
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _sd(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _cell(value: float | None, digits: int) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"
