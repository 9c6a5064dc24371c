"""Covered: what arrives over several associations, and what is evidence of its end."""

import threading
from collections.abc import Hashable

from db.spool import SeriesKey
from storescp.registration.arrivals import Arrivals, Complete

FIRST, SECOND = SeriesKey("1.1", "1.1.1"), SeriesKey("1.1", "1.1.2")
QUIET = 10.0


def note(
    arrivals: Arrivals, sender: str, key: SeriesKey, now: float, *, changed: bool = True
) -> str | None:
    return arrivals.note(
        sender, key, assoc_id=sender, calling_ae_title="CT", changed=changed, now=now
    )


def complete(arrivals: Arrivals, now: float) -> list[Complete]:
    return arrivals.complete(now=now, quiet_seconds=QUIET)


def enter(
    arrivals: Arrivals,
    sender: Hashable,
    *,
    peer: str = "10.0.0.1",
    limit: int = 100,
    limit_per_peer: int = 100,
) -> str | None:
    return arrivals.enter(sender, peer, limit=limit, limit_per_peer=limit_per_peer)


def arrivals_with(*senders: str) -> Arrivals:
    arrivals = Arrivals()
    for sender in senders:
        assert enter(arrivals, sender) is None
    return arrivals


def test_a_released_series_is_complete_after_the_shorter_wait() -> None:
    arrivals = arrivals_with("a")
    note(arrivals, "a", FIRST, 0)
    note(arrivals, "a", FIRST, 1)
    arrivals.leave("a", released=True)

    assert complete(arrivals, 2.9) == []
    assert complete(arrivals, 3.0) == [Complete(FIRST, "released", 2, None, "a")]


def test_one_instance_per_association_is_no_evidence_of_the_end() -> None:
    arrivals = Arrivals()
    for n in range(3):
        enter(arrivals, str(n), limit=1)
        note(arrivals, str(n), FIRST, float(n))
        arrivals.leave(str(n), released=True)

    assert complete(arrivals, 5.0) == []
    assert complete(arrivals, 12.0) == [Complete(FIRST, "quiet", 3, None, "0")]


def test_an_abort_does_not_shorten_the_wait() -> None:
    arrivals = arrivals_with("a")
    note(arrivals, "a", FIRST, 0)
    note(arrivals, "a", FIRST, 0)
    arrivals.leave("a", released=False)

    assert complete(arrivals, 9.9) == []
    assert complete(arrivals, 10) == [Complete(FIRST, "quiet", 2, None, "a")]


def test_of_two_senders_the_one_that_is_open_holds_the_series() -> None:
    arrivals = arrivals_with("a", "b")
    for sender in "aabb":
        note(arrivals, sender, FIRST, 0)
    arrivals.leave("a", released=True)

    assert complete(arrivals, 30) == []
    arrivals.leave("b", released=True)
    assert complete(arrivals, 30) == [Complete(FIRST, "quiet", 4, None, "a")]


def test_a_sender_that_went_on_to_the_next_series_releases_the_first() -> None:
    arrivals = arrivals_with("a")
    note(arrivals, "a", FIRST, 0)
    note(arrivals, "a", SECOND, 9)

    assert complete(arrivals, 10) == [Complete(FIRST, "quiet", 1, None, "a")]


def test_repeated_instances_do_not_open_a_series_but_keep_an_open_one_open() -> None:
    arrivals = arrivals_with("a")
    note(arrivals, "a", SECOND, 0, changed=False)
    note(arrivals, "a", FIRST, 0)
    note(arrivals, "a", FIRST, 8, changed=False)
    arrivals.leave("a", released=False)

    assert arrivals.pending() == 1
    assert complete(arrivals, 10) == []
    assert complete(arrivals, 18) == [Complete(FIRST, "quiet", 2, None, "a")]


def test_what_arrives_while_a_series_is_registered_keeps_it_pending() -> None:
    arrivals = arrivals_with("a")
    note(arrivals, "a", FIRST, 0)
    arrivals.leave("a", released=False)
    [done] = complete(arrivals, 10)
    note(arrivals, "a", FIRST, 11)

    arrivals.registered(done)

    assert complete(arrivals, 15) == []
    [again] = complete(arrivals, 21)
    arrivals.registered(again)
    assert arrivals.pending() == 0


def test_a_series_is_reported_as_opened_once_until_it_is_registered() -> None:
    arrivals = arrivals_with("a")
    note(arrivals, "a", FIRST, 0)

    assert arrivals.newly_opened() == [(FIRST, "CT", "a")]
    assert arrivals.newly_opened() == []
    arrivals.leave("a", released=True)
    arrivals.registered(complete(arrivals, 20)[0])
    note(arrivals, "a", FIRST, 30)
    assert arrivals.newly_opened() == [(FIRST, "CT", "a")]


def test_the_scan_does_not_touch_what_is_pending() -> None:
    arrivals = arrivals_with("a")
    note(arrivals, "a", FIRST, 100)

    assert not arrivals.note_found(FIRST, last_arrival=0)
    assert arrivals.note_found(SECOND, last_arrival=0)
    assert complete(arrivals, 101) == [Complete(SECOND, "scan", 0)]


def test_the_limit_holds_when_many_ask_at_once_and_places_come_back() -> None:
    arrivals = Arrivals()
    start = threading.Barrier(16)
    admitted: list[int] = []

    def ask(sender: int) -> None:
        start.wait()
        if enter(arrivals, sender, limit=5) is None:
            admitted.append(sender)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(admitted) == arrivals.open_associations() == 5
    assert arrivals.leave(admitted[0], released=True)
    assert not arrivals.leave(admitted[0], released=True)
    assert enter(arrivals, "next", limit=5) is None
    assert enter(arrivals, "one more", limit=5) == "full"


def test_one_peer_does_not_take_all_places() -> None:
    arrivals = Arrivals()

    answers = [enter(arrivals, n, peer="10.0.0.1", limit_per_peer=2) for n in range(3)]

    assert answers == [None, None, "peer full"]
    assert enter(arrivals, 3, peer="10.0.0.2", limit_per_peer=2) is None
    arrivals.leave(0, released=True)
    assert enter(arrivals, 4, peer="10.0.0.1", limit_per_peer=2) is None


def test_a_postponed_series_waits_and_others_do_not() -> None:
    arrivals = arrivals_with("a")
    note(arrivals, "a", FIRST, 0)
    note(arrivals, "a", SECOND, 0)
    arrivals.leave("a", released=False)

    arrivals.postpone(FIRST, until=100)

    assert complete(arrivals, 50) == [Complete(SECOND, "quiet", 1, None, "a")]
    assert len(complete(arrivals, 100)) == 2


def test_a_series_is_known_by_the_association_that_began_it_and_each_joins_once() -> None:
    arrivals = arrivals_with("a", "b")

    joined = [note(arrivals, sender, FIRST, 0) for sender in ("a", "a", "b", "b", "a")]

    assert joined == ["a", None, "a", None, None]
    assert complete(arrivals, 100) == [Complete(FIRST, "quiet", 5, None, "a")]


def test_a_later_revision_is_known_by_the_association_that_began_it() -> None:
    arrivals = arrivals_with("a", "b")
    note(arrivals, "a", FIRST, 0)
    arrivals.registered(complete(arrivals, 100)[0])

    assert note(arrivals, "b", FIRST, 200, changed=False) is None
    assert note(arrivals, "b", FIRST, 201) == "b"
    assert arrivals.newly_opened() == [(FIRST, "CT", "b")]
