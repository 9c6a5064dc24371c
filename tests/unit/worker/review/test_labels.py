"""Every state, reason and grade of the database has a label."""

from typing import get_args

from db.completed_series import CompletedBy
from db.states import DeliveryState, SeriesState
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Grade
from worker.review import labels
from worker.review.labels import STATE_MEANINGS, state_meaning


def test_every_state_reason_and_grade_has_a_label() -> None:
    assert set(labels.STATES) == set(labels.STATE_MEANINGS) == set(SeriesState)
    assert set(labels.REASONS) == set(ReasonCode)
    assert set(labels.GRADES) == set(Grade)
    assert set(labels.COMPLETED_BY) == set(get_args(CompletedBy))
    assert set(labels.DELIVERY_STATES) == set(DeliveryState)


def test_the_meaning_of_a_state_says_what_became_of_the_result() -> None:
    screened = SeriesState.SCREENED

    def meaning(state: SeriesState, *, withdrawn: bool = False, withheld: bool = False) -> str:
        return state_meaning(state, is_withdrawn=withdrawn, is_withheld=withheld)

    assert meaning(screened) == STATE_MEANINGS[screened]
    assert meaning(screened, withheld=True) == labels.WITHHELD_MEANING
    assert meaning(screened, withdrawn=True, withheld=True) == labels.WITHDRAWN_MEANING
    assert meaning(SeriesState.DELIVERED, withdrawn=True) == labels.WITHDRAWN_MEANING
    queued = SeriesState.QUEUED
    assert meaning(queued, withdrawn=True, withheld=True) == STATE_MEANINGS[queued]
