"""Statistics of the paper's Table 1: demographics by grade, and tests of their differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.multicomp import pairwise_tukeyhsd
from statsmodels.stats.oneway import anova_oneway

from training.cohort.dataset import Record
from training.cohort.record_parts import patient_grades
from worker.pipeline.results import Grade

ALPHA = 0.05
QUANTITIES = ("age", "height_m", "weight_kg", "bmi")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row of Table 1.

    ``groups`` : printed text of each grade. ``test`` : name of the test; ``p`` : its p-value
    over all grades. ``pairs`` : p-values of pairs of grades, empty where grades do not differ.
    """

    name: str
    groups: tuple[str, ...]
    test: str
    p: float
    levene_p: float | None = None
    pairs: tuple[tuple[str, float], ...] = ()


def table_1(records: Sequence[Record]) -> list[Comparison]:
    """Return the rows of Table 1: sex and four quantities.

    Each patient is counted once, with the patient's worst grade.
    """
    patients = {
        record.patient: (record, grade)
        for record, grade in zip(records, patient_grades(records), strict=True)
    }
    members = list(patients.values())
    rows = [_sex(members)]
    for name in QUANTITIES:
        groups = [
            np.array([v for r, g in members if g is grade and (v := getattr(r, name))], float)
            for grade in Grade
        ]
        # The tests need two or more values per grade that are not all equal.
        if all(len(group) > 1 and np.ptp(group) > 0 for group in groups):
            rows.append(compare(name, groups))
    return rows


def _sex(members: Sequence[tuple[Record, Grade]]) -> Comparison:
    counts = np.array(
        [
            [sum(r.sex == sex and g is grade for r, g in members) for sex in "FM"]
            for grade in Grade
        ]
    )
    shares = tuple(f"{100 * women / max(1, women + men):.1f} % women" for women, men in counts)
    p = float(stats.chi2_contingency(counts).pvalue) if counts.all() else float("nan")
    return Comparison("sex", shares, "chi²", p)


def compare(name: str, groups: Sequence[npt.NDArray[np.float64]]) -> Comparison:
    """Compare the means of a quantity between the grades (Ha 2024, statistics).

    Levene's test decides between analysis of variance and Welch's; where the means differ,
    pairs of grades are compared by Games–Howell.
    """
    levene = float(stats.levene(*groups).pvalue)
    equal = levene >= ALPHA
    p = float(anova_oneway(groups, use_var="equal" if equal else "unequal").pvalue)
    pairs: tuple[tuple[str, float], ...] = ()
    if p < ALPHA:
        values = np.concatenate(groups)
        labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        howell = pairwise_tukeyhsd(values, labels, alpha=ALPHA, use_var="unequal")
        names = [grade.value for grade in Grade]
        pairs = tuple(
            (f"{names[a]} – {names[b]}", float(value))
            for (a, b), value in zip(
                combinations(range(len(groups)), 2), np.atleast_1d(howell.pvalues), strict=True
            )
        )
    digits = 2 if name == "height_m" else 1
    means = tuple(
        f"{group.mean():.{digits}f} ± {group.std(ddof=1):.{digits}f}" for group in groups
    )
    return Comparison(name, means, "ANOVA" if equal else "Welch", p, levene, pairs)
