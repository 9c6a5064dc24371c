"""Every value that the record can hold has plain words."""

from typing import get_args

import pytest

from db.intake import CompletedBy
from db.states import DeliveryState, SeriesState
from worker.pipeline.results import Grade, ReasonCode
from worker.review import words


def test_every_state_reason_and_grade_has_words() -> None:
    assert set(words.STATES) == set(words.STATE_MEANINGS) == set(SeriesState)
    assert set(words.REASONS) == set(ReasonCode)
    assert set(words.GRADES) == set(Grade)
    assert set(words.COMPLETED_BY) == set(get_args(CompletedBy))
    assert set(words.DELIVERY_STATES) == set(DeliveryState)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (52_428_800, "52.4 MB"),
        (3e9, "3.0 GB"),
    ],
)
def test_sizes(count: int, said: str) -> None:
    assert words.size(count) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (0.004, "< 1 %"),
        (0.5, "50 %"),
        (0.996, "> 99 %"),
        (1.0, "100 %"),
    ],
)
def test_percent_promises_no_certainty(value: float | None, said: str) -> None:
    assert words.percent(value) == said
