"""Table of transitions. Transitions of rows: tests/integration/test_record_transitions.py."""

import itertools

import pytest

from db.states import ALLOWED, FINAL, IllegalTransition, SeriesState, check_transition

PAIRS = list(itertools.product(SeriesState, SeriesState))


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_every_pair_is_either_listed_or_refused(
    before: SeriesState, after: SeriesState
) -> None:
    if after in ALLOWED[before]:
        check_transition(before, after)
    else:
        with pytest.raises(IllegalTransition, match=f"from {before} to {after}"):
            check_transition(before, after)


def test_no_state_follows_itself() -> None:
    assert [state for state in SeriesState if state in ALLOWED[state]] == []


def test_results_come_only_from_a_run() -> None:
    def before(result: SeriesState) -> list[SeriesState]:
        return [state for state in SeriesState if result in ALLOWED[state]]

    assert before(SeriesState.REJECTED) == [SeriesState.SCREENING]
    # Or its results exist, and a destination did not commit an accepted object.
    assert before(SeriesState.SCREENED) == [SeriesState.SCREENING, SeriesState.DELIVERED]


@pytest.mark.parametrize("before", [s for s in SeriesState if s is not SeriesState.RECEIVING])
def test_a_late_instance_reopens_a_series_in_any_state(before: SeriesState) -> None:
    assert SeriesState.RECEIVING in ALLOWED[before]


@pytest.mark.parametrize("start", list(SeriesState))
@pytest.mark.parametrize("end", sorted(FINAL))
def test_every_final_state_can_be_reached_from_every_state(
    start: SeriesState, end: SeriesState
) -> None:
    reached, fresh = {start}, {start}
    while fresh:
        fresh = {after for state in fresh for after in ALLOWED[state]} - reached
        reached |= fresh
    assert end in reached
