"""WHO grades from T-scores, and the patient's grade from those of the hips."""

from collections.abc import Iterable

from worker.pipeline.results import Grade

# WHO Technical Report Series 843 (1994): normal T ≥ −1.0, osteopenia −2.5 < T < −1.0,
# osteoporosis T ≤ −2.5; the paper labels by the same limits (Ha 2024, Methods).
NORMAL_FROM_T_SCORE = -1.0
OSTEOPOROSIS_TO_T_SCORE = -2.5

MAX_DAYS_APART = 92
"""Largest distance of CT and DXA in days (Ha 2024, Methods: within three months)."""

SEVERITY = tuple(Grade)


def grade_of_t_score(t_score: float) -> Grade:
    """Return the WHO grade of a DXA T-score."""
    if t_score >= NORMAL_FROM_T_SCORE:
        return Grade.NORMAL
    if t_score <= OSTEOPOROSIS_TO_T_SCORE:
        return Grade.OSTEOPOROSIS
    return Grade.OSTEOPENIA


def worse_grade(grades: Iterable[Grade]) -> Grade:
    """Return the most severe of the grades. Raises ValueError where there is none."""
    return max(grades, key=SEVERITY.index)
