"""Covered: times of queries, counts as evidence of completion. The clock is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storescp.registration.completion import STILL_MISSING, STILL_OPEN, Evidence, completed_by
from storescp.registration.instance_count import (
    MAX_FETCHES,
    InstanceCount,
    fetch_at,
    next_count,
    query_at,
)

QUIET = 10.0


def instance_count(
    expected: int, held: int, *, asked_at: float = 101.0, **more: float
) -> InstanceCount:
    return InstanceCount(expected, held, asked_at, **{"same_since": 99.0, **more})  # type: ignore[arg-type]


def answer(silence: float, counted: InstanceCount, **evidence: int) -> str | None:
    return completed_by(
        Evidence(last_arrival=100.0, instance_count=counted, **evidence),
        now=100.0 + silence,
        quiet_seconds=QUIET,
    )


@pytest.mark.parametrize("sending", [0, 1])
def test_a_count_that_is_reached_ends_the_wait_at_once(sending: int) -> None:
    assert answer(1.1, instance_count(40, 40), sending=sending) == "count"


def test_a_count_that_has_just_changed_is_no_evidence() -> None:
    """The PACS may still receive the series."""
    assert answer(1.1, instance_count(40, 40, same_since=100.5)) is None


def test_a_count_from_before_the_last_arrival_says_nothing() -> None:
    assert answer(1.1, instance_count(40, 40, asked_at=99.9)) is None
    assert answer(QUIET, instance_count(50, 40, asked_at=99.9)) == "quiet"


@pytest.mark.parametrize("expected", [0, 1, 39])
def test_a_count_below_ours_changes_nothing(expected: int) -> None:
    counted = instance_count(expected, 40)

    assert answer(9.9, counted) is None
    assert answer(QUIET, counted) == "quiet"
    assert answer(2, counted, released=True) == "released"


@pytest.mark.parametrize("how", [{}, {"released": True}, {"found_by_scan": True}])
def test_missing_instances_lengthen_the_wait_up_to_a_cap(how: dict[str, int]) -> None:
    counted = instance_count(41, 40)

    assert answer(STILL_MISSING * QUIET - 0.1, counted, **how) is None
    assert answer(STILL_MISSING * QUIET, counted, **how) is not None


def test_instances_that_could_not_be_fetched_do_not_extend_the_wait() -> None:
    assert answer(QUIET, instance_count(41, 40, fetches=MAX_FETCHES)) == "quiet"


def test_a_count_that_grows_must_become_stable_again() -> None:
    first = next_count(None, 10, 10, asked_at=1, last_arrival=0)
    second = next_count(first, 11, 11, asked_at=3, last_arrival=2)
    third = next_count(second, 11, 11, asked_at=4.5, last_arrival=2)

    assert [one.is_reached(quiet_seconds=QUIET) for one in (first, second, third)] == [
        False, False, True
    ]  # fmt: skip


def test_queries_are_immediate_then_after_each_arrival_then_rarer() -> None:
    when = [query_at(None, last_arrival=0, quiet_seconds=QUIET)]
    counted = None
    for _ in range(6):
        counted = next_count(counted, 5, 4, asked_at=when[-1], last_arrival=0.2)
        when.append(query_at(counted, last_arrival=0.2, quiet_seconds=QUIET))

    assert when == [0, 1, 2, 4, 8, 16, 32]


def test_nothing_is_fetched_while_it_is_sent() -> None:
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
def test_silence_completes_a_series_whatever_the_pacs_counts(
    expected: int, held: int, fetches: int, asked_at: float, same_since: float, sending: int
) -> None:
    counted = InstanceCount(expected, held, asked_at, same_since, fetches=fetches)
    evidence = Evidence(100.0, sending=sending, instance_count=counted)
    long = max(STILL_MISSING, STILL_OPEN) * QUIET

    assert completed_by(evidence, now=100.0 + long, quiet_seconds=QUIET) is not None
    assert counted.missing <= max(0, expected - held)
