"""Covered: which results count as those of a demonstration model, and uncertain grades."""

from dataclasses import asdict, replace

import pytest

from db.models import HipResult, Screening
from tests.support.factories import MODEL, make_screening, with_hip
from tests.support.report_cases import METAL
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Grade, Hip
from worker.pipeline.statements import uncertainty_remark
from worker.review.result_view import is_demonstration, uncertainty
from worker.screening.rows import hip_row, screening_row


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


@pytest.mark.parametrize(
    "chances", [(0.1, 0.55, 0.35), (0.1, 0.6, 0.3), (0.35, 0.55, 0.1), (0.2, 0.5, 0.3)]
)
def test_page_and_picture_agree_on_an_uncertain_grade(
    chances: tuple[float, float, float],
) -> None:
    probabilities = dict(zip(Grade, chances, strict=True))
    (hip, _) = with_hip(make_screening(), 0, probabilities=probabilities).hips
    row = HipResult(**asdict(hip_row(hip)))

    assert hip.grade is Grade.OSTEOPENIA
    assert uncertainty(row) == uncertainty_remark(hip)
    assert (uncertainty(row) == "") == (chances == (0.1, 0.6, 0.3))


def test_a_hip_without_a_grade_has_no_remark() -> None:
    assert uncertainty(HipResult(**asdict(hip_row(Hip("R", METAL))))) == ""


def test_a_run_without_grade_is_none_and_an_old_result_is_one() -> None:
    assert not is_demonstration(None)
    assert not is_demonstration(Screening(grade=None, model_simulated=None))
    assert is_demonstration(Screening(grade="normal", model_simulated=None))
