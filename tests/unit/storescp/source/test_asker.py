"""Covered: rounds of the asker with a PACS that lies, breaks off or loses what it counted.

A real PACS does none of this on demand; a real one is in tests/integration/test_source_pacs.py.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from db.spool import SeriesKey, instance_path
from storescp.registration.arrivals import Arrivals
from storescp.settings import StoreScpSettings
from storescp.source.asker import Asker
from storescp.source.pacs import SourceUnavailable

KEY = SeriesKey("1.1", "1.1.1")
QUIET = 10.0


class Pacs:
    """Counts what it is told to, has the instances ``has``, sends those that it ``sends``."""

    def __init__(self, spool_dir: Path, arrivals: Arrivals) -> None:
        self.counts: list[int | Exception] = []
        self.has: frozenset[str] = frozenset()
        self.sends: frozenset[str] = frozenset()
        self.asked_for: list[Sequence[str]] = []
        self.spool_dir, self.arrivals, self.now = spool_dir, arrivals, 0.0

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
        self.arrivals.note(
            "a", KEY, assoc_id="a", calling_ae_title="CT", changed=True, now=self.now
        )


@pytest.fixture
def pacs(tmp_path: Path) -> Pacs:
    return Pacs(tmp_path, Arrivals())


@pytest.fixture
def asker(pacs: Pacs) -> Asker:
    settings = StoreScpSettings.model_validate(
        {"spool_dir": pacs.spool_dir, "quiet_seconds": QUIET}
    )
    return Asker(pacs, pacs.arrivals, settings)


def run(asker: Asker, pacs: Pacs, *, until: float = 100) -> tuple[str, float, int | None]:
    """Tick until the series is complete: by what, when, of how many."""
    for tick in range(int(until * 10)):
        pacs.now = tick / 10
        asker.ask_one(pacs.now)
        for done in pacs.arrivals.complete(now=pacs.now, quiet_seconds=QUIET):
            return done.completed_by, pacs.now, done.expected
    raise AssertionError("never complete")


def test_all_that_the_pacs_has_is_here(asker: Asker, pacs: Pacs) -> None:
    pacs.counts = [2]
    pacs.arrive("1.1")
    pacs.arrive("1.2")

    how, at, expected = run(asker, pacs)

    assert (how, expected) == ("count", 2)
    assert at <= 0.2 * QUIET


def test_only_what_is_missing_is_fetched(asker: Asker, pacs: Pacs) -> None:
    pacs.counts, pacs.has = [3], frozenset({"1.1", "1.2", "1.3"})
    pacs.sends = pacs.has
    pacs.arrive("1.2")

    how, _, expected = run(asker, pacs)

    assert (how, expected) == ("count", 3)
    assert pacs.asked_for == [["1.1", "1.3"]]


@pytest.mark.parametrize("counts", [[0], [1], [2, 1, 0]])
def test_a_pacs_that_counts_less_than_we_have_does_no_harm(
    counts: list[int | Exception], asker: Asker, pacs: Pacs
) -> None:
    pacs.counts = counts
    for uid in ("1.1", "1.2", "1.3"):
        pacs.arrive(uid)

    how, at, _ = run(asker, pacs)

    assert (how, at) == ("quiet", QUIET)
    assert pacs.asked_for == []


def test_a_pacs_that_counts_what_it_does_not_have_costs_a_few_tries(
    asker: Asker, pacs: Pacs
) -> None:
    pacs.counts, pacs.has = [1_000_000], frozenset({"1.1", "1.2"})
    pacs.arrive("1.1")

    how, at, _ = run(asker, pacs)

    assert how == "quiet"
    assert at <= 6 * QUIET
    assert pacs.asked_for == [["1.2"]] * 3


def test_a_count_that_always_grows_ends_with_the_cap(asker: Asker, pacs: Pacs) -> None:
    pacs.counts = list(range(2, 1000))
    pacs.arrive("1.1")

    how, at, _ = run(asker, pacs)

    assert how == "quiet"
    assert at <= 6 * QUIET


@pytest.mark.parametrize("error", [SourceUnavailable("down"), ZeroDivisionError("Doe^Jane")])
def test_a_pacs_that_fails_is_left_alone_for_a_while(
    error: Exception, asker: Asker, pacs: Pacs
) -> None:
    pacs.counts = [error]
    pacs.arrive("1.1")

    with capture_logs() as lines:
        how, at, expected = run(asker, pacs)

    assert (how, at, expected) == ("quiet", QUIET, None)
    assert [line["event"] for line in lines] == ["source_pacs_unavailable"]
    assert "Doe" not in str(lines)
