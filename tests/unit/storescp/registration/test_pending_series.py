"""Covered: pending series from their first instance to their registration."""

from common.spool.layout import SeriesKey
from storescp.registration.arrival import Arrival
from storescp.registration.pending_series import CompleteSeries, PendingSeries

FIRST, SECOND = SeriesKey("1.1", "1.1.1"), SeriesKey("1.1", "1.1.2")
QUIET = 10.0


def store(
    pending: PendingSeries,
    key: SeriesKey,
    now: float,
    *,
    assoc_id: str = "a",
    uid: str = "1.9",
    changed: bool = True,
) -> str | None:
    return pending.instance_stored(Arrival(key, uid, assoc_id, "CT", changed=changed, at=now))


def complete(pending: PendingSeries, now: float) -> list[CompleteSeries]:
    return pending.complete(now=now, quiet_seconds=QUIET)


def test_repeated_instances_do_not_open_a_series_but_keep_an_open_one_open() -> None:
    pending = PendingSeries()
    store(pending, SECOND, 0, changed=False)
    store(pending, FIRST, 0)
    store(pending, FIRST, 8, changed=False)

    assert len(pending) == 1
    assert complete(pending, 10) == []
    assert complete(pending, 18) == [CompleteSeries(FIRST, "quiet", 2, None, "a")]


def test_a_refusal_is_an_arrival_of_a_pending_series_only() -> None:
    pending = PendingSeries()
    pending.instance_refused(FIRST, "1.1", now=0)
    assert len(pending) == 0
    store(pending, FIRST, 0)
    pending.instance_refused(FIRST, "1.2", now=300)

    assert complete(pending, 899) == []
    [series] = complete(pending, 900)
    assert series.refused == 2


def test_what_is_missing_after_the_registration_makes_the_next_one_complete() -> None:
    pending = PendingSeries()
    store(pending, FIRST, 0, uid="1.1")
    pending.instance_refused(FIRST, "1.2", now=0)
    pending.instance_refused(FIRST, "1.3", now=0)
    [series] = complete(pending, 600)
    pending.registered(series)

    store(pending, FIRST, 700, uid="1.2")
    [second] = complete(pending, 1300)
    pending.registered(second)
    store(pending, FIRST, 1400, uid="1.3")
    [third] = complete(pending, 1410)

    assert (series.refused, second.refused, third.refused) == (2, 1, 0)


def test_a_count_of_the_pacs_that_is_reached_says_that_nothing_is_missing() -> None:
    pending = PendingSeries()
    store(pending, FIRST, 0, uid="1.1")
    pending.instance_refused(FIRST, "1.2", now=0)
    for now in (1, 3):
        query = pending.next_query(now=now, quiet_seconds=QUIET)
        assert query is not None
        pending.record_count(query, 1, 1)

    [series] = complete(pending, 4)

    assert (series.completed_by, series.refused) == ("count", 0)


def test_an_arrival_during_registration_keeps_the_series_pending() -> None:
    pending = PendingSeries()
    store(pending, FIRST, 0)
    [series] = complete(pending, 10)
    store(pending, FIRST, 11)

    pending.registered(series)

    assert complete(pending, 15) == []
    [again] = complete(pending, 21)
    pending.registered(again)
    assert len(pending) == 0


def test_a_series_is_reported_as_opened_once_until_it_is_registered() -> None:
    pending = PendingSeries()
    store(pending, FIRST, 0)

    assert pending.newly_opened() == [(FIRST, "CT", "a")]
    assert pending.newly_opened() == []
    pending.registered(complete(pending, 20)[0])
    store(pending, FIRST, 30)
    assert pending.newly_opened() == [(FIRST, "CT", "a")]


def test_the_scan_does_not_change_a_pending_series() -> None:
    pending = PendingSeries()
    store(pending, FIRST, 100)

    assert not pending.found_by_scan(FIRST, last_arrival=0)
    assert pending.found_by_scan(SECOND, last_arrival=0)
    assert complete(pending, 101) == [CompleteSeries(SECOND, "scan", 0)]


def test_a_postponed_series_waits_and_others_do_not() -> None:
    pending = PendingSeries()
    store(pending, FIRST, 0)
    store(pending, SECOND, 0)

    pending.postpone(FIRST, until=100)

    assert complete(pending, 50) == [CompleteSeries(SECOND, "quiet", 1, None, "a")]
    assert len(complete(pending, 100)) == 2


def test_a_series_has_the_id_of_its_first_association_and_each_joins_once() -> None:
    pending = PendingSeries()

    joined = [store(pending, FIRST, 0, assoc_id=one) for one in ("a", "a", "b", "b", "a")]

    assert joined == ["a", None, "a", None, None]
    assert complete(pending, 100) == [CompleteSeries(FIRST, "quiet", 5, None, "a")]


def test_a_later_revision_has_the_id_of_its_own_first_association() -> None:
    pending = PendingSeries()
    store(pending, FIRST, 0)
    pending.registered(complete(pending, 100)[0])

    assert store(pending, FIRST, 200, assoc_id="b", changed=False) is None
    assert store(pending, FIRST, 201, assoc_id="b") == "b"
    assert pending.newly_opened() == [(FIRST, "CT", "b")]
