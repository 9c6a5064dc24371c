"""How grades stand up to DXA: one comparison a patient, with intervals.

Each patient counts once, by the CT and the DXA that are nearest in time, so that the intervals
may take the comparisons as independent. Of one DXA date the lowest T-score is the reference, as
in practice; where all its results are of named hips, only these hips of the CT are compared.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from db.dxa import Pair
from db.models import Hip
from worker.pipeline.grade import grade_of_t_score, worse_grade
from worker.pipeline.results import Grade
from worker.review.results import probabilities_of

SMALL_N = 30
CONFIDENCE = 0.95
BINS = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """One patient. ``probability`` : of osteoporosis, at the hip that decides."""

    reference: Grade
    predicted: Grade
    probability: float
    days_apart: int


@dataclass(frozen=True, slots=True)
class Proportion:
    """``count`` of ``total`` with Wilson's interval; the share is None where total is 0."""

    count: int
    total: int

    @property
    def share(self) -> float | None:
        """0–1."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 %, Wilson (1927): stays within 0–1 and holds for small numbers."""
        if not self.total:
            return None
        from scipy.stats import binomtest  # a second, which only this needs

        found = binomtest(self.count, self.total).proportion_ci(CONFIDENCE, "wilson")
        return float(found.low), float(found.high)

    @property
    def is_small(self) -> bool:
        """Too few to rely on."""
        return self.total < SMALL_N


@dataclass(frozen=True, slots=True)
class Bin:
    """Patients whose probability of osteoporosis lies in one fifth of 0–1."""

    low: float
    high: float
    mean: float
    observed: Proportion


def compare(pairs: Iterable[Pair]) -> tuple[list[Comparison], int]:
    """One comparison a patient, and how many patients had no graded CT beside their DXA."""
    comparisons, ungraded = [], 0
    for _, group in groupby(sorted(pairs, key=_patient), key=_patient):
        found = _compare_patient(list(group))
        if found is None:
            ungraded += 1
        else:
            comparisons.append(found)
    return comparisons, ungraded


def measures(
    comparisons: Sequence[Comparison], positive: frozenset[Grade]
) -> Mapping[str, Proportion]:
    """Sensitivity, specificity and predictive values for finding one of ``positive``."""

    def share(counted: Sequence[bool]) -> Proportion:
        return Proportion(sum(counted), len(counted))

    ill = [(one.reference in positive, one.predicted in positive) for one in comparisons]
    return {
        "Sensitivity": share([found for has, found in ill if has]),
        "Specificity": share([not found for has, found in ill if not has]),
        "Positive predictive value": share([has for has, found in ill if found]),
        "Negative predictive value": share([not has for has, found in ill if not found]),
    }


def confusion(comparisons: Sequence[Comparison]) -> Mapping[Grade, Mapping[Grade, int]]:
    """Patients by grade of DXA, then by grade of CT."""
    return {
        by_dxa: {
            by_ct: sum((one.reference, one.predicted) == (by_dxa, by_ct) for one in comparisons)
            for by_ct in Grade
        }
        for by_dxa in Grade
    }


def calibration(comparisons: Sequence[Comparison]) -> list[Bin]:
    """Probability of osteoporosis against how many have it, by fifths; empty ones left out."""
    bins = []
    for number in range(BINS):
        inside = [
            one for one in comparisons if min(int(one.probability * BINS), BINS - 1) == number
        ]
        if inside:
            ill = sum(one.reference is Grade.OSTEOPOROSIS for one in inside)
            mean = sum(one.probability for one in inside) / len(inside)
            bins.append(
                Bin(number / BINS, (number + 1) / BINS, mean, Proportion(ill, len(inside)))
            )
    return bins


def brier_score(comparisons: Sequence[Comparison]) -> float | None:
    """Mean squared error of the probability of osteoporosis: 0 is perfect (Brier 1950)."""
    if not comparisons:
        return None
    errors = (
        (one.probability - (one.reference is Grade.OSTEOPOROSIS)) ** 2 for one in comparisons
    )
    return sum(errors) / len(comparisons)


def _patient(pair: Pair) -> tuple[str, str]:
    patient_id, issuer = pair.patient
    return patient_id, issuer or ""


def _compare_patient(pairs: Sequence[Pair]) -> Comparison | None:
    graded = [pair for pair in pairs if _hips(pair)]
    if not graded:
        return None

    def nearness(pair: Pair) -> tuple[int, int]:
        return abs((pair.study_date - pair.dxa_date).days), -pair.series_id

    nearest = min(graded, key=nearness)
    same = [
        pair
        for pair in graded
        if (pair.series_id, pair.dxa_date) == (nearest.series_id, nearest.dxa_date)
    ]
    hips = {hip.side: hip for pair in same for hip in _hips(pair)}.values()
    predicted = worse_grade(Grade(hip.grade or "") for hip in hips)
    chances = [probabilities_of(hip)["osteoporosis"] for hip in hips if hip.grade == predicted]
    return Comparison(
        reference=grade_of_t_score(min(pair.t_score for pair in same)),
        predicted=predicted,
        probability=max(chance or 0.0 for chance in chances),
        days_apart=nearness(nearest)[0],
    )


def _hips(pair: Pair) -> list[Hip]:
    """The graded hips that the DXA result speaks of."""
    return [
        hip for hip in pair.hips if hip.grade is not None and pair.dxa_side in {None, hip.side}
    ]
