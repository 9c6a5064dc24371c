"""A cohort of simulated patients in the paper's proportions."""

from dataclasses import dataclass

import numpy as np

from training.simulate.subject import Condition, Subject, sample_subject
from worker.pipeline.results import Grade

# Ha 2024: 3,012 scans of 2,126 patients; scans of the three grades.
PATIENTS = 2126
PROPORTIONS = {Grade.NORMAL: 1068, Grade.OSTEOPENIA: 925, Grade.OSTEOPOROSIS: 1019}
SCANS = sum(PROPORTIONS.values())

CONDITIONS: tuple[Condition, ...] = ("none", "osteoarthritis", "arms")
CONDITION_SHARES = (0.88, 0.08, 0.04)


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient of a cohort: the ``number``-th, scanned ``scans`` times within the months
    around one DXA."""

    number: int
    subject: Subject
    scans: int


def plan_cohort(patients: int, seed: int, scans: int = 0) -> list[Patient]:
    """That many patients in random order; each depends on the seed and its place only.

    Grades come in the paper's proportions to the nearest patient, T-scores vary within a
    grade, and age, sex and body mass follow the grade (the paper's Table 1). ``scans`` : of
    all together, as many as patients where it is less; they too have the paper's proportions,
    and which patient is scanned again is chance.
    Raises ValueError for fewer than one patient.
    """
    if patients < 1:
        raise ValueError(f"a cohort has at least one patient, got {patients}")
    rng = np.random.default_rng([seed, 0])
    grades = rng.permutation(np.array(_grades(patients), object)).tolist()
    counts = np.ones(patients, int)
    wanted = _grades(max(scans, patients))
    for grade in PROPORTIONS:
        members = np.flatnonzero([each is grade for each in grades])
        again = wanted.count(grade) - len(members)
        if len(members) and again > 0:
            counts += np.bincount(rng.choice(members, again), minlength=patients)
    return [
        Patient(
            place, sample_patient(np.random.default_rng([seed, 1, place]), grade), int(count)
        )
        for place, (grade, count) in enumerate(zip(grades, counts, strict=True))
    ]


def sample_patient(rng: np.random.Generator, grade: Grade | None = None) -> Subject:
    """A patient, some with arthritis or arms down; without a grade all three are as likely."""
    condition = CONDITIONS[rng.choice(len(CONDITIONS), p=CONDITION_SHARES)]
    wanted = {} if grade is None else {"grade": grade}
    return sample_subject(rng, condition=condition, **wanted)


def _grades(patients: int) -> list[Grade]:
    """Largest remainders, so that the counts add up."""
    exact = {grade: patients * share / SCANS for grade, share in PROPORTIONS.items()}
    counts = {grade: int(value) for grade, value in exact.items()}
    by_remainder = sorted(exact, key=lambda grade: counts[grade] - exact[grade])
    for grade in by_remainder[: patients - sum(counts.values())]:
        counts[grade] += 1
    return [grade for grade, count in counts.items() for _ in range(count)]
