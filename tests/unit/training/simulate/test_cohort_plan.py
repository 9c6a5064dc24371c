"""Plan of a cohort: proportions, demographics, T-scores and bone as published."""

import numpy as np
import pytest

from training.simulate.cohort_plan import PATIENTS, PROPORTIONS, SCANS, plan_cohort
from training.simulate.subject import DEMOGRAPHICS
from training.simulate.truth import truth
from worker.pipeline.results import Grade


@pytest.fixture(scope="module")
def cohort():
    return [patient.subject for patient in plan_cohort(PATIENTS, seed=3)]


def test_cohort_has_the_papers_proportions(cohort):
    counts = {grade: sum(s.grade is grade for s in cohort) for grade in Grade}

    total = sum(PROPORTIONS.values())
    for grade, count in counts.items():
        assert count == pytest.approx(PATIENTS * PROPORTIONS[grade] / total, abs=1)


def test_a_patient_depends_on_seed_and_place_only(cohort):
    repeated = [patient.subject for patient in plan_cohort(PATIENTS, seed=3)]
    other = [patient.subject for patient in plan_cohort(PATIENTS, seed=4)]

    assert repeated == cohort
    assert other[0] != cohort[0]
    assert len({subject.seed for subject in cohort}) == PATIENTS


def test_the_papers_cohort_has_its_scans_and_patients_by_grade():
    cohort = plan_cohort(PATIENTS, seed=1, scans=SCANS)

    scans = {grade: sum(p.scans for p in cohort if p.subject.grade is grade) for grade in Grade}
    assert len(cohort) == PATIENTS == 2126
    assert sum(scans.values()) == SCANS == 3012
    assert scans == PROPORTIONS
    assert min(patient.scans for patient in cohort) == 1
    assert max(patient.scans for patient in cohort) > 2


def test_an_empty_cohort_is_refused():
    with pytest.raises(ValueError, match="at least one patient"):
        plan_cohort(0, seed=1)


@pytest.mark.parametrize("grade", list(Grade))
def test_demographics_follow_the_papers_table(cohort, grade):
    patients = [subject for subject in cohort if subject.grade is grade]
    age, age_sd, women, bmi, bmi_sd = DEMOGRAPHICS[grade]

    ages = np.array([subject.age_years for subject in patients])
    bmis = np.array([subject.bmi for subject in patients])
    assert ages.mean() == pytest.approx(age, abs=2.5)
    assert ages.std() == pytest.approx(age_sd, abs=2.0)
    assert ages.min() >= 18
    assert np.mean([subject.sex == "F" for subject in patients]) == pytest.approx(
        women, abs=0.06
    )
    assert bmis.mean() == pytest.approx(bmi, abs=0.8)
    assert bmis.std() == pytest.approx(bmi_sd, abs=1.0)


def test_t_scores_fill_each_grade_up_to_its_limits(cohort):
    scores = np.array([subject.t_score for subject in cohort])

    for low, high in ((-4.5, -3.5), (-2.8, -2.5), (-2.4, -2.1), (-1.3, -1.0), (-1.0, -0.7)):
        assert np.any((scores > low) & (scores < high))


def test_neck_attenuation_of_the_grades_is_as_published(cohort):
    """J Korean Soc Radiol 2021;82:173: 131.9, 98.9, 41.3 HU in elderly patients, r² 0.68."""
    elderly = [subject for subject in cohort if subject.age_years >= 50]
    hips = [hip for subject in elderly for hip in truth(subject)]
    mean = {
        grade: np.mean([hip.neck_hu for hip in hips if hip.grade is grade]) for grade in Grade
    }

    assert mean[Grade.NORMAL] == pytest.approx(140, abs=30)
    assert mean[Grade.OSTEOPENIA] == pytest.approx(98.9, abs=12)
    assert mean[Grade.OSTEOPOROSIS] == pytest.approx(41.3, abs=12)
    r = np.corrcoef([hip.t_score for hip in hips], [hip.neck_hu for hip in hips])[0, 1]
    assert 0.55 < r**2 < 0.85


def test_hips_differ_a_little_but_not_much(cohort):
    differences = np.array([np.ptp([hip.t_score for hip in s.hips]) for s in cohort])
    radii = np.array([np.ptp([hip.head_radius_mm for hip in s.hips]) for s in cohort])

    assert 0.1 < differences.mean() < 0.4
    assert 0.05 < radii.mean() < 1.0
