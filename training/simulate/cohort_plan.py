"""Plan of a cohort: simulated patients in the paper's proportions."""

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
class PlannedPatient:
    """The ``number``-th patient of a cohort, with ``scans`` scans within months of one DXA."""

    number: int
    subject: Subject
    scans: int


def plan_cohort(patients: int, seed: int, scans: int = 0) -> list[PlannedPatient]:
    """Return patients in random order; each depends only on the seed and its place.

    Grades have the paper's proportions to the nearest patient, T-scores vary within a grade,
    and age, sex and body mass follow the grade (the paper's Table 1). ``scans`` : total number
    of scans, at least one per patient; scans have the paper's proportions, too, and the
    patients with further scans are random.
    Raises ValueError for fewer than one patient.
    """
    if patients < 1:
        raise ValueError(f"a cohort has at least one patient, got {patients}")
    rng = np.random.default_rng([seed, 0])
    grades = rng.permutation(np.array(_grades(patients), object)).tolist()
    counts = np.ones(patients, int)
    scan_grades = _grades(max(scans, patients))
    for grade in PROPORTIONS:
        members = np.flatnonzero([each is grade for each in grades])
        further = scan_grades.count(grade) - len(members)
        if len(members) and further > 0:
            counts += np.bincount(rng.choice(members, further), minlength=patients)
    return [
        PlannedPatient(
            place, sample_patient(np.random.default_rng([seed, 1, place]), grade), int(count)
        )
        for place, (grade, count) in enumerate(zip(grades, counts, strict=True))
    ]


def sample_patient(rng: np.random.Generator, grade: Grade | None = None) -> Subject:
    """Return a random patient, at times with arthritis or arms down.

    Without a grade the three grades are equally likely.
    """
    condition = CONDITIONS[rng.choice(len(CONDITIONS), p=CONDITION_SHARES)]
    fixed = {} if grade is None else {"grade": grade}
    return sample_subject(rng, condition=condition, **fixed)


def _grades(patients: int) -> list[Grade]:
    """Return grades in the paper's proportions, by the method of largest remainders."""
    exact = {grade: patients * share / SCANS for grade, share in PROPORTIONS.items()}
    counts = {grade: int(value) for grade, value in exact.items()}
    by_remainder = sorted(exact, key=lambda grade: counts[grade] - exact[grade])
    for grade in by_remainder[: patients - sum(counts.values())]:
        counts[grade] += 1
    return [grade for grade, count in counts.items() for _ in range(count)]
