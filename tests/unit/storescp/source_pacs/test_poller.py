"""Covered: queries to a PACS with wrong counts, errors, or missing instances.

A real PACS cannot be made to do so; one is in tests/integration/test_source_pacs.py.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common.settings.storescp import StoreScpSettings
from common.spool.layout import SeriesKey, instance_path
from storescp.registration.arrival import Arrival
from storescp.registration.pending_series import PendingSeries
from storescp.source_pacs.poller import SourcePoller
from storescp.source_pacs.source import SourceUnavailable

KEY = SeriesKey("1.1", "1.1.1")
QUIET = 10.0


class Pacs:
    """Answers ``counts`` in turn, lists the instances ``has`` and sends those in ``sends``."""

    def __init__(self, spool_dir: Path, pending: PendingSeries) -> None:
        self.counts: list[int | Exception] = []
        self.has: frozenset[str] = frozenset()
        self.sends: frozenset[str] = frozenset()
        self.asked_for: list[Sequence[str]] = []
        self.spool_dir, self.pending, self.now = spool_dir, pending, 0.0

    def count(self, key: SeriesKey) -> int:
        answer = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def instances(self, key: SeriesKey) -> frozenset[str]:
        return self.has

    def fetch(self, key: SeriesKey, sop_instance_uids: Sequence[str], *, of: int) -> None:
        assert of == len(self.has)
        self.asked_for.append(sop_instance_uids)
        for uid in self.sends.intersection(sop_instance_uids):
            self.arrive(uid)

    def arrive(self, uid: str) -> None:
        path = instance_path(self.spool_dir, KEY, uid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        self.pending.instance_stored(Arrival(KEY, uid, "a", "CT", changed=True, at=self.now))


@pytest.fixture
def pacs(tmp_path: Path) -> Pacs:
    return Pacs(tmp_path, PendingSeries())


@pytest.fixture
def poller(pacs: Pacs) -> SourcePoller:
    settings = StoreScpSettings.model_validate(
        {"spool_dir": pacs.spool_dir, "quiet_seconds": QUIET}
    )
    return SourcePoller(pacs, pacs.pending, settings)


def run(
    poller: SourcePoller, pacs: Pacs, *, until: float = 100
) -> tuple[str, float, int | None]:
    """Poll until the series is complete; return evidence, time and expected count."""
    for tick in range(int(until * 10)):
        pacs.now = tick / 10
        poller.poll_once(pacs.now)
        for done in pacs.pending.complete(now=pacs.now, quiet_seconds=QUIET):
            return done.completed_by, pacs.now, done.expected
    raise AssertionError("never complete")


def test_all_that_the_pacs_has_is_here(poller: SourcePoller, pacs: Pacs) -> None:
    pacs.counts = [2]
    pacs.arrive("1.1")
    pacs.arrive("1.2")

    how, at, expected = run(poller, pacs)

    assert (how, expected) == ("count", 2)
    assert at <= 0.2 * QUIET


def test_only_what_is_missing_is_fetched(poller: SourcePoller, pacs: Pacs) -> None:
    pacs.counts, pacs.has = [3], frozenset({"1.1", "1.2", "1.3"})
    pacs.sends = pacs.has
    pacs.arrive("1.2")

    how, _, expected = run(poller, pacs)

    assert (how, expected) == ("count", 3)
    assert pacs.asked_for == [["1.1", "1.3"]]


@pytest.mark.parametrize("counts", [[0], [1], [2, 1, 0]])
def test_a_pacs_that_counts_less_than_we_have_does_no_harm(
    counts: list[int | Exception], poller: SourcePoller, pacs: Pacs
) -> None:
    pacs.counts = counts
    for uid in ("1.1", "1.2", "1.3"):
        pacs.arrive(uid)

    how, at, _ = run(poller, pacs)

    assert (how, at) == ("quiet", QUIET)
    assert pacs.asked_for == []


def test_a_pacs_that_counts_more_than_it_has_costs_three_fetches(
    poller: SourcePoller, pacs: Pacs
) -> None:
    pacs.counts, pacs.has = [1_000_000], frozenset({"1.1", "1.2"})
    pacs.arrive("1.1")

    how, at, _ = run(poller, pacs)

    assert how == "quiet"
    assert at <= 6 * QUIET
    assert pacs.asked_for == [["1.2"]] * 3


def test_a_count_that_always_grows_ends_with_the_cap(poller: SourcePoller, pacs: Pacs) -> None:
    pacs.counts = list(range(2, 1000))
    pacs.arrive("1.1")

    how, at, _ = run(poller, pacs)

    assert how == "quiet"
    assert at <= 6 * QUIET


@pytest.mark.parametrize("error", [SourceUnavailable("down"), ZeroDivisionError("Doe^Jane")])
def test_a_pacs_that_fails_is_not_queried_during_the_back_off(
    error: Exception, poller: SourcePoller, pacs: Pacs
) -> None:
    pacs.counts = [error]
    pacs.arrive("1.1")

    with capture_logs() as lines:
        how, at, expected = run(poller, pacs)

    assert (how, at, expected) == ("quiet", QUIET, None)
    assert [line["event"] for line in lines] == ["source_pacs_unavailable"]
    assert "Doe" not in str(lines)
