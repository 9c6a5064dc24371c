"""A cohort of simulated patients in the paper's proportions."""

import numpy as np

from training.simulate.subject import Subject, sample_subject
from worker.pipeline.results import Grade

# Ha 2024: patients of the three grades among 3,012 scans.
PROPORTIONS = {Grade.NORMAL: 1068, Grade.OSTEOPENIA: 925, Grade.OSTEOPOROSIS: 1019}


def plan_cohort(patients: int, seed: int) -> list[Subject]:
    """That many patients in random order; each depends on the seed and its place only.

    Grades come in the paper's proportions to the nearest patient, T-scores vary within a
    grade, and age, sex and body mass follow the grade (the paper's Table 1).
    Raises ValueError for fewer than one patient.
    """
    if patients < 1:
        raise ValueError(f"a cohort has at least one patient, got {patients}")
    grades = np.random.default_rng([seed, 0]).permutation(_grades(patients))
    return [
        sample_subject(np.random.default_rng([seed, 1, place]), grade=grade)
        for place, grade in enumerate(grades.tolist())
    ]


def _grades(patients: int) -> list[Grade]:
    """Largest remainders, so that the counts add up."""
    total = sum(PROPORTIONS.values())
    exact = {grade: patients * share / total for grade, share in PROPORTIONS.items()}
    counts = {grade: int(value) for grade, value in exact.items()}
    by_remainder = sorted(exact, key=lambda grade: counts[grade] - exact[grade])
    for grade in by_remainder[: patients - sum(counts.values())]:
        counts[grade] += 1
    return [grade for grade, count in counts.items() for _ in range(count)]
