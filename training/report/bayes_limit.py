"""Bayes limit: the best performance that any model can reach on simulated hips.

Grades are derived from the simulator's own density values, read without error. T-score and
bone are related with scatter (``simulate.density``), so that even a model that knows neck and
cortex exactly makes errors. An image contains less: noise, tube voltage, contrast medium and
partial volume add to the error. Clipped tails of the distributions are ignored.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from training.evaluate.measures import accuracy, macro_auc
from training.simulate import density
from training.simulate.cohort_plan import PROPORTIONS, SCANS, plan_cohort
from training.simulate.subject import DEMOGRAPHICS, T_CENTERS, T_SCORES, HipAnatomy, Subject
from worker.pipeline.grading import grade_of_t_score
from worker.pipeline.model.networks import GRADES
from worker.pipeline.results import Grade

Floats = npt.NDArray[np.float64]

STEP = 0.02
T_GRID: Floats = np.arange(-5.5, 3.5, STEP)
"""Grid of T-scores, used for those measured by DXA and for the true ones."""


def bayes_limit(patients: int = 6000, seed: int = 77) -> dict[str, dict[str, float]]:
    """Return accuracy and macro AUC by density, by demographics, and by both.

    The patients are simulated in the paper's proportions.
    """
    subjects = [patient.subject for patient in plan_cohort(patients, seed)]
    hips = [next(h for h in s.hips if h.t_score == s.t_score) for s in subjects]
    expected = np.array([GRADES.index(grade_of_t_score(hip.t_score)) for hip in hips], np.intp)
    bone, demographics = _bone(hips), _demographics(subjects)
    result = {}
    for name, likelihood in (  # each (hip, grade, T-score)
        ("density", bone[:, None, :] * np.ones((1, 3, 1))),
        ("demographics", demographics),
        ("density and demographics", bone[:, None, :] * demographics),
    ):
        shares = (likelihood * _prior()).sum(axis=2)
        shares /= shares.sum(axis=1, keepdims=True)
        result[name] = {
            "accuracy": round(accuracy(shares, expected), 4),
            "macro_auc": round(macro_auc(shares, expected), 4),
        }
    return result


def _prior() -> Floats:
    """Return the (3, n) probability of each grade and T-score of the grid in the cohort."""
    rows = []
    for grade in GRADES:
        mean, sd, low, high = T_SCORES[grade]
        inside = np.abs(T_GRID - (low + high) / 2) <= (high - low) / 2
        weight = stats.norm.pdf(T_GRID, mean, sd) * inside
        rows.append(PROPORTIONS[grade] / SCANS * weight / weight.sum())
    return np.array(rows)


def _bone(hips: Sequence[HipAnatomy]) -> Floats:
    """Return the (hips, n) likelihood of each hip's density at each measured T-score.

    The likelihood at the true T-score is blurred by the precision error of DXA.
    """
    bones = [hip.density for hip in hips]
    thickness = 1.0 + 0.125 * T_GRID
    likelihood = (
        stats.norm.pdf(
            _column([bone.neck_hu for bone in bones]),
            density.NECK_HU_AT_ZERO + density.NECK_HU_PER_T * T_GRID,
            density.NECK_HU_SCATTER,
        )
        * stats.norm.pdf(
            _column([bone.cortex_scale for bone in bones]),
            thickness,
            density.CORTEX_SCATTER * thickness,
        )
        * stats.norm.pdf(
            _column([bone.cortex_hu for bone in bones]), 1180.0 + 55.0 * T_GRID, 70.0
        )
    )
    error = density.DXA_PRECISION_G_CM2 / density.REFERENCE_BMD_SD_G_CM2
    reach = np.arange(-4 * error, 4 * error + STEP, STEP)
    spread = stats.norm.pdf(reach, 0.0, error)
    weights = spread / spread.sum()
    return np.array([np.convolve(row, weights, mode="same") for row in likelihood])


def _demographics(subjects: Sequence[Subject]) -> Floats:
    """Return the (subjects, 3, n) likelihood of sex, age and body mass by grade and T-score."""
    return np.stack([_of_grade(subjects, grade) for grade in GRADES], axis=1)


def _of_grade(subjects: Sequence[Subject], grade: Grade) -> Floats:
    age_mean, age_sd, women, bmi_mean, bmi_sd = DEMOGRAPHICS[grade]
    shift = np.clip((T_GRID - T_CENTERS[grade]) / T_SCORES[grade][1], -2, 2)
    means = age_mean - 0.3 * age_sd * shift
    sex = _column([women if subject.sex == "F" else 1 - women for subject in subjects])
    body = stats.norm.pdf(_column([subject.bmi for subject in subjects]), bmi_mean, bmi_sd)
    ages = _column([subject.age_years for subject in subjects])
    return np.asarray(_age(ages, means, age_sd) * sex * body)


def _age(ages: Floats, means: Floats, sd: float) -> Floats:
    """Return the density of ages as ``subject._age`` draws them: normal, or gamma near 18."""
    above = means - 18.0
    normal = stats.norm.pdf(ages, means, sd) / stats.norm.sf(18.0, means, sd)
    shape, scale = (above / sd) ** 2, sd**2 / above
    skewed = stats.gamma.pdf(np.maximum(ages - 18.0, 0.5), shape, scale=scale)
    return np.asarray(np.where(above > 2.0 * sd, normal, skewed))


def _column(values: Sequence[float]) -> Floats:
    return np.array(values, np.float64)[:, None]
