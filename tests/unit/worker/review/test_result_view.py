"""Covered: which results count as those of a demonstration model."""

from dataclasses import replace

import pytest

from db.models import Screening
from tests.support.factories import MODEL, make_screening
from worker.pipeline.result_json import to_json
from worker.review.result_view import is_demonstration
from worker.screening.rows import screening_row


@pytest.mark.parametrize("simulated", [True, False])
def test_the_field_of_the_package_decides_not_a_word(simulated: bool) -> None:
    text = "3,012 CT, none simulated" if not simulated else "phantoms"
    screening = make_screening(model=replace(MODEL, simulated=simulated, training_data=text))
    row = screening_row(screening, to_json(screening))
    saved = Screening(
        grade=row.grade,
        model_training_data=row.model_training_data,
        model_simulated=row.result["model"]["simulated"],
    )

    assert is_demonstration(saved) is simulated


def test_a_run_without_grade_is_none_and_an_old_result_is_one() -> None:
    assert not is_demonstration(None)
    assert not is_demonstration(Screening(grade=None, model_simulated=None))
    assert is_demonstration(Screening(grade="normal", model_simulated=None))
