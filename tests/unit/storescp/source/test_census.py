"""Covered: when a PACS is asked, what its counts are evidence of. The clock is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storescp.registration.completion import STILL_MISSING, STILL_OPEN, Evidence, judge
from storescp.source.census import MAX_FETCHES, Census, ask_at, fetch_at, next_census

QUIET = 10.0


def census(expected: int, held: int, *, asked_at: float = 101.0, **more: float) -> Census:
    return Census(expected, held, asked_at, **{"same_since": 99.0, **more})  # type: ignore[arg-type]


def answer(silence: float, counted: Census, **evidence: int) -> str | None:
    return judge(
        Evidence(last_arrival=100.0, census=counted, **evidence),
        now=100.0 + silence,
        quiet_seconds=QUIET,
    )


@pytest.mark.parametrize("sending", [0, 1])
def test_a_count_that_is_reached_ends_the_wait_at_once(sending: int) -> None:
    assert answer(1.1, census(40, 40), sending=sending) == "count"


def test_a_count_that_has_just_changed_is_not_believed_yet() -> None:
    """The PACS is receiving the series, too."""
    assert answer(1.1, census(40, 40, same_since=100.5)) is None


def test_a_count_from_before_the_last_arrival_says_nothing() -> None:
    assert answer(1.1, census(40, 40, asked_at=99.9)) is None
    assert answer(QUIET, census(50, 40, asked_at=99.9)) == "quiet"


@pytest.mark.parametrize("expected", [0, 1, 39])
def test_a_count_below_ours_changes_nothing(expected: int) -> None:
    counted = census(expected, 40)

    assert answer(9.9, counted) is None
    assert answer(QUIET, counted) == "quiet"
    assert answer(2, counted, released=True) == "released"


@pytest.mark.parametrize("how", [{}, {"released": True}, {"found_by_scan": True}])
def test_missing_instances_lengthen_the_wait_up_to_a_cap(how: dict[str, int]) -> None:
    counted = census(41, 40)

    assert answer(STILL_MISSING * QUIET - 0.1, counted, **how) is None
    assert answer(STILL_MISSING * QUIET, counted, **how) is not None


def test_what_could_not_be_fetched_is_not_waited_for() -> None:
    assert answer(QUIET, census(41, 40, fetches=MAX_FETCHES)) == "quiet"


def test_a_count_that_grows_starts_to_settle_anew() -> None:
    first = next_census(None, 10, 10, asked_at=1, last_arrival=0)
    second = next_census(first, 11, 11, asked_at=3, last_arrival=2)
    third = next_census(second, 11, 11, asked_at=4.5, last_arrival=2)

    assert [one.is_reached(quiet_seconds=QUIET) for one in (first, second, third)] == [
        False, False, True
    ]  # fmt: skip


def test_it_is_asked_at_once_then_soon_after_each_arrival_then_less_often() -> None:
    when = [ask_at(None, last_arrival=0, quiet_seconds=QUIET)]
    counted = None
    for _ in range(6):
        counted = next_census(counted, 5, 4, asked_at=when[-1], last_arrival=0.2)
        when.append(ask_at(counted, last_arrival=0.2, quiet_seconds=QUIET))

    assert when == [0, 1, 2, 4, 8, 16, 32]


def test_nothing_is_fetched_while_its_sender_is_at_it() -> None:
    at = [
        fetch_at(last_arrival=0, sending=sending, released=released, quiet_seconds=QUIET)
        for sending, released in ((True, False), (False, False), (False, True))
    ]

    assert at == [10, 5, 0]


@given(
    st.integers(0, 10**9),
    st.integers(1, 10**4),
    st.integers(0, MAX_FETCHES),
    st.floats(0, 200),
    st.floats(0, 200),
    st.integers(0, 3),
)
def test_whatever_a_pacs_counts_silence_ends_it(
    expected: int, held: int, fetches: int, asked_at: float, same_since: float, sending: int
) -> None:
    counted = Census(expected, held, asked_at, same_since, fetches=fetches)
    evidence = Evidence(100.0, sending=sending, census=counted)
    long = max(STILL_MISSING, STILL_OPEN) * QUIET

    assert judge(evidence, now=100.0 + long, quiet_seconds=QUIET) is not None
    assert counted.missing <= max(0, expected - held)
