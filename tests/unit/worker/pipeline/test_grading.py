"""Grades of T-scores at the limits of the WHO, and the worse of several grades."""

import pytest

from worker.pipeline.grading import Grade, grade_of_t_score, worse_grade


@pytest.mark.parametrize(
    ("t_score", "grade"),
    [
        (0.3, Grade.NORMAL),
        (-1.0, Grade.NORMAL),
        (-1.01, Grade.OSTEOPENIA),
        (-2.49, Grade.OSTEOPENIA),
        (-2.5, Grade.OSTEOPOROSIS),
        (-4.1, Grade.OSTEOPOROSIS),
    ],
)
@pytest.mark.covers("R9")
def test_limits_of_the_who_belong_to_normal_and_to_osteoporosis(
    t_score: float, grade: Grade
) -> None:
    assert grade_of_t_score(t_score) is grade


def test_worse_grade_is_the_one_of_less_density() -> None:
    assert worse_grade([Grade.NORMAL, Grade.OSTEOPOROSIS, Grade.OSTEOPENIA]) is (
        Grade.OSTEOPOROSIS
    )
    assert worse_grade([Grade.NORMAL, Grade.OSTEOPENIA]) is Grade.OSTEOPENIA
    with pytest.raises(ValueError, match="empty"):
        worse_grade([])
