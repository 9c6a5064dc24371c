"""Every state, reason and grade of the database has a label."""

from typing import get_args

from db.registration import CompletedBy
from db.states import DeliveryState, SeriesState
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Grade
from worker.review import labels


def test_every_state_reason_and_grade_has_a_label() -> None:
    assert set(labels.STATES) == set(labels.STATE_MEANINGS) == set(SeriesState)
    assert set(labels.REASONS) == set(ReasonCode)
    assert set(labels.GRADES) == set(Grade)
    assert set(labels.COMPLETED_BY) == set(get_args(CompletedBy))
    assert set(labels.DELIVERY_STATES) == set(DeliveryState)
