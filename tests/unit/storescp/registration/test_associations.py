"""Covered: limits of open associations, and what they tell about pending series."""

import threading
from collections.abc import Hashable

from common.spool.layout import SeriesKey
from storescp.registration.arrival import Arrival
from storescp.registration.associations import Associations
from storescp.registration.completion import BROKEN_OFF, STILL_REFUSED
from storescp.registration.pending_series import CompleteSeries, PendingSeries

FIRST, SECOND = SeriesKey("1.1", "1.1.1"), SeriesKey("1.1", "1.1.2")
QUIET = 10.0


class Registry:
    """Associations with their pending series."""

    def __init__(self, *senders: str, limit: int = 100, limit_per_peer: int = 100) -> None:
        self.pending = PendingSeries()
        self.associations = Associations(
            self.pending, limit=limit, limit_per_peer=limit_per_peer
        )
        for sender in senders:
            assert self.open(sender) is None

    def open(self, sender: Hashable, *, peer: str = "10.0.0.1") -> str | None:
        return self.associations.open(sender, peer)

    def close(self, sender: Hashable, *, released: bool) -> bool:
        return self.associations.close(sender, released=released)

    def store(
        self,
        sender: str,
        key: SeriesKey,
        now: float,
        *,
        uid: str = "1.9",
        changed: bool = True,
    ) -> str | None:
        return self.associations.instance_stored(
            sender, Arrival(key, uid, sender, "CT", changed=changed, at=now)
        )

    def refuse(self, sender: str, key: SeriesKey | None, uid: str, now: float = 0) -> None:
        self.associations.instance_refused(sender, key, uid, now=now)

    def complete(self, now: float) -> list[CompleteSeries]:
        return self.pending.complete(now=now, quiet_seconds=QUIET)


def test_a_released_series_is_complete_after_the_shorter_wait() -> None:
    registry = Registry("a")
    registry.store("a", FIRST, 0)
    registry.store("a", FIRST, 1)
    registry.close("a", released=True)

    assert registry.complete(2.9) == []
    assert registry.complete(3.0) == [CompleteSeries(FIRST, "released", 2, None, "a")]


def test_one_instance_per_association_is_no_evidence_of_the_end() -> None:
    registry = Registry(limit=1)
    for n in range(3):
        registry.open(str(n))
        registry.store(str(n), FIRST, float(n))
        registry.close(str(n), released=True)

    assert registry.complete(5.0) == []
    assert registry.complete(12.0) == [CompleteSeries(FIRST, "quiet", 3, None, "0")]


def test_an_abort_lengthens_the_wait() -> None:
    registry = Registry("a")
    registry.store("a", FIRST, 0)
    registry.store("a", FIRST, 0)
    registry.close("a", released=False)

    assert registry.complete(BROKEN_OFF * QUIET - 0.1) == []
    [done] = registry.complete(BROKEN_OFF * QUIET)
    assert done == CompleteSeries(FIRST, "quiet", 2, None, "a")


def test_a_series_that_was_sent_before_the_one_of_the_abort_is_not_delayed() -> None:
    registry = Registry("a")
    registry.store("a", FIRST, 0)
    registry.store("a", SECOND, 0)
    registry.close("a", released=False)

    assert [one.key for one in registry.complete(10)] == [FIRST]


def test_a_release_after_an_abort_ends_the_longer_wait() -> None:
    registry = Registry("a", "b")
    registry.store("a", FIRST, 0)
    registry.close("a", released=False)
    registry.store("b", FIRST, 5)
    registry.close("b", released=True)

    assert [one.refused for one in registry.complete(15)] == [0]


def test_an_instance_that_was_refused_and_not_stored_since_is_counted() -> None:
    registry = Registry("a")
    registry.refuse("a", FIRST, "1.1")
    registry.store("a", FIRST, 0, uid="1.2")
    for _ in range(2):
        registry.refuse("a", FIRST, "1.3")
    registry.close("a", released=True)

    assert registry.complete(STILL_REFUSED * QUIET - 0.1) == []
    [done] = registry.complete(STILL_REFUSED * QUIET)
    assert done.refused == 2


def test_an_instance_that_is_stored_later_is_not_missing() -> None:
    registry = Registry("a", "b")
    registry.store("a", FIRST, 0, uid="1.1")
    registry.refuse("a", FIRST, "1.2")
    registry.close("a", released=True)
    registry.store("b", FIRST, 1, uid="1.2")
    registry.store("b", FIRST, 1, uid="1.1", changed=False)
    registry.close("b", released=True)

    assert [one.refused for one in registry.complete(3)] == [0]


def test_what_is_refused_without_a_known_series_is_of_the_series_that_is_sent() -> None:
    registry = Registry("a", "b")
    registry.refuse("a", None, "1.1")
    registry.refuse("b", None, "1.2")
    registry.store("a", FIRST, 0, uid="1.3")
    registry.store("a", SECOND, 0, uid="1.4")
    registry.refuse("a", None, "1.5")
    registry.close("a", released=True)
    registry.close("b", released=True)

    done = {one.key: one.refused for one in registry.complete(STILL_REFUSED * QUIET)}
    assert done == {FIRST: 1, SECOND: 1}


def test_a_refusal_of_a_sender_that_has_ended_counts_where_the_series_is_known() -> None:
    registry = Registry("a")
    registry.store("a", FIRST, 0, uid="1.1")
    registry.close("a", released=False)
    registry.refuse("a", FIRST, "1.2")
    registry.refuse("a", None, "1.3")

    [done] = registry.complete(STILL_REFUSED * QUIET)
    assert done.refused == 1


def test_of_two_senders_the_one_that_is_open_holds_the_series() -> None:
    registry = Registry("a", "b")
    for sender in "aabb":
        registry.store(sender, FIRST, 0)
    registry.close("a", released=True)

    assert registry.complete(30) == []
    registry.close("b", released=True)
    assert registry.complete(30) == [CompleteSeries(FIRST, "quiet", 4, None, "a")]


def test_a_sender_that_went_on_to_the_next_series_releases_the_first() -> None:
    registry = Registry("a")
    registry.store("a", FIRST, 0)
    registry.store("a", SECOND, 9)

    assert registry.complete(10) == [CompleteSeries(FIRST, "quiet", 1, None, "a")]


def test_a_sender_that_came_before_the_first_change_holds_the_series() -> None:
    registry = Registry("a", "b")
    registry.store("a", FIRST, 0, changed=False)
    registry.store("b", FIRST, 0)
    registry.close("b", released=False)

    assert registry.complete(10) == []
    registry.close("a", released=True)
    assert len(registry.complete(10)) == 1


def test_an_instance_without_an_open_association_makes_its_series_pending() -> None:
    registry = Registry()

    assert registry.store("fetch", FIRST, 0) == "fetch"
    assert registry.complete(10) == [CompleteSeries(FIRST, "quiet", 1, None, "fetch")]


def test_the_limit_holds_when_many_open_at_once_and_closing_frees_a_place() -> None:
    registry = Registry(limit=5)
    start = threading.Barrier(16)
    admitted: list[int] = []

    def open_one(sender: int) -> None:
        start.wait()
        if registry.open(sender, peer=f"10.0.0.{sender}") is None:
            admitted.append(sender)

    threads = [threading.Thread(target=open_one, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(admitted) == registry.associations.count() == 5
    assert registry.close(admitted[0], released=True)
    assert not registry.close(admitted[0], released=True)
    assert registry.open("next", peer="10.0.1.1") is None
    assert registry.open("one more", peer="10.0.1.2") == "full"


def test_one_peer_does_not_take_all_places() -> None:
    registry = Registry(limit_per_peer=2)

    answers = [registry.open(n, peer="10.0.0.1") for n in range(3)]

    assert answers == [None, None, "peer full"]
    assert registry.open(3, peer="10.0.0.2") is None
    registry.close(0, released=True)
    assert registry.open(4, peer="10.0.0.1") is None


def test_the_last_quarter_of_the_places_has_one_for_each_address() -> None:
    registry = Registry(limit=8)

    of_first = [registry.open(n, peer="10.0.0.1") for n in range(7)]

    assert of_first == [None] * 6 + ["peer full"]
    assert registry.open("second", peer="10.0.0.2") is None
    assert registry.open("again", peer="10.0.0.2") == "peer full"
    assert registry.open("third", peer="10.0.0.3") is None
