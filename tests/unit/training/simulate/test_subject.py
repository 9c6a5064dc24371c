"""Random patients: grade, T-score, fixed fields and determinism."""

import numpy as np
import pytest

from training.simulate.subject import sample_subject
from training.simulate.truth import truth
from worker.pipeline.results import Grade


def test_same_generator_gives_the_same_patient():
    first, second = (sample_subject(np.random.default_rng(5)) for _ in range(2))

    assert first == second
    assert first != sample_subject(np.random.default_rng(6))


@pytest.mark.parametrize("grade", list(Grade))
def test_a_wanted_grade_is_the_grade_of_the_worse_hip(grade):
    for seed in range(20):
        subject = sample_subject(np.random.default_rng(seed), grade=grade)

        assert subject.grade is grade
        assert min(hip.t_score for hip in subject.hips) == subject.t_score


def test_a_fixed_t_score_decides_bone_and_demographics():
    subject = sample_subject(np.random.default_rng(1), t_score=-4.0)

    assert subject.grade is Grade.OSTEOPOROSIS
    assert subject.age_years > 45
    assert truth(subject)[0].neck_hu < 110


def test_fixed_fields_are_kept():
    subject = sample_subject(np.random.default_rng(1), sex="M", age_years=70, height_m=1.8)

    assert (subject.sex, subject.age_years, subject.height_m) == ("M", 70, 1.8)


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="hight_m"):
        sample_subject(np.random.default_rng(1), hight_m=1.8)
