"""Accuracy of grades against DXA: one comparison per patient, with confidence intervals.

Each patient counts once, by the CT and the DXA that are nearest in time, so that the intervals
may treat the comparisons as independent. The reference is the lowest T-score of that DXA date,
as in clinical practice. If all its results name a hip, only these hips of the CT are compared.

scikit-learn, which has a confusion matrix and a Brier score, is not installed with the review
page.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from db.dxa import Pair
from db.models import HipResult
from worker.pipeline.grading import grade_of_t_score, worse_grade
from worker.pipeline.results import Grade
from worker.review.result_view import probabilities

SMALL_SAMPLE = 30
"""Below this number of patients or series the pages warn of chance."""
CONFIDENCE = 0.95
CALIBRATION_BINS = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """Grades of one patient by DXA (``reference``) and by CT (``predicted``).

    ``probability`` is that of osteoporosis at the hip that decides the patient's grade.
    """

    reference: Grade
    predicted: Grade
    probability: float
    days_apart: int


@dataclass(frozen=True, slots=True)
class Proportion:
    """``count`` of ``total`` patients."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        """0–1; None if ``total`` is 0."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % Wilson interval (Wilson 1927); None if ``total`` is 0."""
        if not self.total:
            return None
        from scipy.stats import binomtest  # takes a second to import

        interval = binomtest(self.count, self.total).proportion_ci(CONFIDENCE, "wilson")
        return float(interval.low), float(interval.high)

    @property
    def is_small(self) -> bool:
        """True if there are too few patients to rely on the value."""
        return self.total < SMALL_SAMPLE


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Patients with a probability of osteoporosis from ``low`` to ``high``.

    ``mean`` is their mean probability, ``observed`` the proportion with osteoporosis by DXA.
    """

    low: float
    high: float
    mean: float
    observed: Proportion


def compare(pairs: Iterable[Pair]) -> tuple[list[Comparison], int]:
    """Return one comparison per patient, and the number of patients without a graded CT."""
    comparisons, ungraded = [], 0
    for _, group in groupby(sorted(pairs, key=_patient), key=_patient):
        comparison = _compare_patient(list(group))
        if comparison is None:
            ungraded += 1
        else:
            comparisons.append(comparison)
    return comparisons, ungraded


def measures(
    comparisons: Sequence[Comparison], positive: frozenset[Grade]
) -> Mapping[str, Proportion]:
    """Return sensitivity, specificity and predictive values for the ``positive`` grades."""

    def proportion(outcomes: Sequence[bool]) -> Proportion:
        return Proportion(sum(outcomes), len(outcomes))

    outcomes = [(one.reference in positive, one.predicted in positive) for one in comparisons]
    return {
        "Sensitivity": proportion([by_ct for by_dxa, by_ct in outcomes if by_dxa]),
        "Specificity": proportion([not by_ct for by_dxa, by_ct in outcomes if not by_dxa]),
        "Positive predictive value": proportion(
            [by_dxa for by_dxa, by_ct in outcomes if by_ct]
        ),
        "Negative predictive value": proportion(
            [not by_dxa for by_dxa, by_ct in outcomes if not by_ct]
        ),
    }


def confusion(comparisons: Sequence[Comparison]) -> Mapping[Grade, Mapping[Grade, int]]:
    """Return the number of patients by grade of DXA, then by grade of CT."""
    return {
        by_dxa: {
            by_ct: sum((one.reference, one.predicted) == (by_dxa, by_ct) for one in comparisons)
            for by_ct in Grade
        }
        for by_dxa in Grade
    }


def calibration(comparisons: Sequence[Comparison]) -> list[CalibrationBin]:
    """Compare predicted with observed osteoporosis in equal bins of probability.

    Empty bins are left out.
    """
    bins = []
    for number in range(CALIBRATION_BINS):
        members = [one for one in comparisons if _bin_number(one.probability) == number]
        if not members:
            continue
        positive = sum(one.reference is Grade.OSTEOPOROSIS for one in members)
        bins.append(
            CalibrationBin(
                low=number / CALIBRATION_BINS,
                high=(number + 1) / CALIBRATION_BINS,
                mean=sum(one.probability for one in members) / len(members),
                observed=Proportion(positive, len(members)),
            )
        )
    return bins


def brier_score(comparisons: Sequence[Comparison]) -> float | None:
    """Return the mean squared error of the probability of osteoporosis (Brier 1950).

    0 is perfect; None without comparisons.
    """
    if not comparisons:
        return None
    errors = (
        (one.probability - (one.reference is Grade.OSTEOPOROSIS)) ** 2 for one in comparisons
    )
    return sum(errors) / len(comparisons)


def _bin_number(probability: float) -> int:
    return min(int(probability * CALIBRATION_BINS), CALIBRATION_BINS - 1)


def _patient(pair: Pair) -> tuple[str, str]:
    patient_id, issuer = pair.patient
    return patient_id, issuer or ""


def _compare_patient(pairs: Sequence[Pair]) -> Comparison | None:
    graded = [pair for pair in pairs if _compared_hips(pair)]
    if not graded:
        return None

    def distance(pair: Pair) -> tuple[int, int]:
        return abs((pair.study_date - pair.dxa_date).days), -pair.series_id

    nearest = min(graded, key=distance)
    same_dates = [
        pair
        for pair in graded
        if (pair.series_id, pair.dxa_date) == (nearest.series_id, nearest.dxa_date)
    ]
    hips = {hip.side: hip for pair in same_dates for hip in _compared_hips(pair)}.values()
    predicted = worse_grade(Grade(hip.grade or "") for hip in hips)
    deciding = [hip for hip in hips if hip.grade == predicted]
    return Comparison(
        reference=grade_of_t_score(min(pair.t_score for pair in same_dates)),
        predicted=predicted,
        probability=max(probabilities(hip)["osteoporosis"] or 0.0 for hip in deciding),
        days_apart=distance(nearest)[0],
    )


def _compared_hips(pair: Pair) -> list[HipResult]:
    """Return the graded hips to which the DXA result applies."""
    return [
        hip for hip in pair.hips if hip.grade is not None and pair.dxa_side in {None, hip.side}
    ]
