"""Covered: the rule. The clock is an argument; nothing waits here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storescp.registration.completion import AFTER_RELEASE, STILL_OPEN, Evidence, judge

QUIET = 10.0


def answer(silence: float, **evidence: int) -> str | None:
    return judge(
        Evidence(last_arrival=100.0, **evidence), now=100.0 + silence, quiet_seconds=QUIET
    )


@pytest.mark.parametrize(("silence", "how"), [(0, None), (9.9, None), (10, "quiet")])
def test_the_quiet_period_makes_it_complete(silence: float, how: str | None) -> None:
    assert answer(silence) == how


@pytest.mark.parametrize(("silence", "how"), [(1.9, None), (2, "released"), (10, "quiet")])
def test_a_release_shortens_the_wait(silence: float, how: str | None) -> None:
    assert answer(silence, released=True) == how


@pytest.mark.parametrize("silence", [2, 10, 59])
def test_an_association_that_is_still_sending_holds_it_open(silence: float) -> None:
    assert answer(silence, sending=1) is None
    assert answer(silence, sending=1, released=True) is None


def test_an_association_that_went_silent_does_not_block_for_ever() -> None:
    assert answer(STILL_OPEN * QUIET, sending=3) == "quiet"


def test_what_the_scan_finds_waits_its_quiet_period_and_says_so() -> None:
    assert answer(5, found_by_scan=True) is None
    assert answer(10, found_by_scan=True) == "scan"


@given(
    st.floats(0, 1e6),
    st.integers(0, 8),
    st.booleans(),
    st.booleans(),
    st.floats(0.1, 3600),
)
def test_once_complete_it_stays_complete_and_silence_always_ends_it(
    silence: float, sending: int, released: bool, found: bool, quiet: float
) -> None:
    evidence = Evidence(0.0, sending, released, found)
    if judge(evidence, now=silence, quiet_seconds=quiet):
        assert judge(evidence, now=silence + 1, quiet_seconds=quiet)
        assert silence >= AFTER_RELEASE * quiet
    assert judge(evidence, now=STILL_OPEN * quiet + 0.01, quiet_seconds=quiet)
