"""Covered: the completion rule. The clock is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storescp.registration.completion import (
    AFTER_RELEASE,
    BROKEN_OFF,
    STILL_OPEN,
    STILL_REFUSED,
    Evidence,
    completed_by,
)

QUIET = 10.0


def evidence_at(silence: float, **evidence: int) -> str | None:
    return completed_by(
        Evidence(last_arrival=100.0, **evidence), now=100.0 + silence, quiet_seconds=QUIET
    )


@pytest.mark.parametrize(("silence", "how"), [(0, None), (9.9, None), (10, "quiet")])
def test_the_quiet_period_makes_it_complete(silence: float, how: str | None) -> None:
    assert evidence_at(silence) == how


@pytest.mark.parametrize(("silence", "how"), [(1.9, None), (2, "released"), (10, "quiet")])
def test_a_release_shortens_the_wait(silence: float, how: str | None) -> None:
    assert evidence_at(silence, released=True) == how


@pytest.mark.parametrize("silence", [2, 10, 59])
def test_an_association_that_is_still_sending_holds_it_open(silence: float) -> None:
    assert evidence_at(silence, sending=1) is None
    assert evidence_at(silence, sending=1, released=True) is None


def test_an_association_that_went_silent_does_not_block_for_ever() -> None:
    assert evidence_at(STILL_OPEN * QUIET, sending=3) == "quiet"


@pytest.mark.parametrize(
    ("evidence", "periods"),
    [
        ({"refused": 1}, STILL_REFUSED),
        ({"refused": 9, "broken_off": True, "sending": 1}, STILL_REFUSED),
        ({"broken_off": True}, BROKEN_OFF),
        ({"broken_off": True, "found_by_scan": True}, BROKEN_OFF),
    ],
)
def test_evidence_of_incompleteness_lengthens_the_wait(
    evidence: dict[str, int], periods: float
) -> None:
    for released in (False, True):
        assert evidence_at(periods * QUIET - 0.1, released=released, **evidence) is None
        assert evidence_at(periods * QUIET, released=released, **evidence) == "quiet"


def test_a_series_found_by_the_scan_waits_for_the_quiet_period() -> None:
    assert evidence_at(5, found_by_scan=True) is None
    assert evidence_at(10, found_by_scan=True) == "scan"


@given(
    st.floats(0, 1e6),
    st.integers(0, 8),
    st.booleans(),
    st.booleans(),
    st.floats(0.1, 3600),
    st.integers(0, 2),
    st.booleans(),
)
def test_once_complete_it_stays_complete_and_silence_always_ends_it(
    silence: float,
    sending: int,
    released: bool,
    found: bool,
    quiet: float,
    refused: int,
    broken_off: bool,
) -> None:
    evidence = Evidence(0.0, sending, released, found, None, refused, broken_off)
    if completed_by(evidence, now=silence, quiet_seconds=quiet):
        assert completed_by(evidence, now=silence + 1, quiet_seconds=quiet)
        assert silence >= AFTER_RELEASE * quiet
    assert completed_by(evidence, now=STILL_REFUSED * quiet + 0.01, quiet_seconds=quiet)
