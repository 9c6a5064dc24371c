"""Covered: an earlier attenuation of the neck is quoted only if it was measured by the present
method. Not covered: which results are earlier (tests/integration/test_record_history.py)."""

from datetime import date

import pytest

from db.history import EarlierResult
from db.models import HipResult, ResultObject, Screening
from worker.pipeline.results import NECK_METHOD
from worker.screening.previous_results import to_previous_result


@pytest.mark.parametrize(
    ("entry", "quoted"),
    [
        ({"hips": [{"side": "R", "neck_method": NECK_METHOD}]}, 110.0),
        ({"hips": [{"side": "R", "neck_method": "plane"}]}, None),
        ({"hips": [{"side": "R"}]}, None),
        ({"hips": [{"side": "L", "neck_method": NECK_METHOD}]}, None),
        (None, None),
    ],
)
def test_attenuation_of_another_method_is_not_quoted(
    entry: dict[str, object] | None, quoted: float | None
) -> None:
    earlier = EarlierResult(
        screening=Screening(grade="normal", result=entry),
        hips=[HipResult(side="R", grade="normal", neck_hu=110.0)],
        study_instance_uid="1.2",
        study_date=date(2025, 1, 1),
        report=ResultObject(),
    )

    found = to_previous_result(earlier)

    assert found is not None
    assert found.hips["R"].neck_hu == quoted
