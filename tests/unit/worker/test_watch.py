"""Covered: who counts as dead, whatever the clocks of the workers say."""

from datetime import UTC, datetime, timedelta

from worker.watch import Watch

UNTIL = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_a_lease_is_silent_when_it_stayed_the_same_for_too_long() -> None:
    watch = Watch(60)

    assert watch.silent({1: UNTIL}, now=0) == {}
    assert watch.silent({1: UNTIL, 2: UNTIL}, now=59) == {}
    assert watch.silent({1: UNTIL, 2: UNTIL}, now=60) == {1: UNTIL}


def test_a_lease_that_changes_lives_even_when_its_clock_goes_back() -> None:
    watch = Watch(60)

    for beat in range(10):
        lease = {1: UNTIL - timedelta(hours=beat)}
        assert watch.silent(lease, now=beat * 20.0) == {}


def test_leases_that_ended_are_forgotten() -> None:
    watch = Watch(60)
    watch.silent({1: UNTIL}, now=0)
    watch.silent({}, now=30)

    assert watch.silent({1: UNTIL}, now=70) == {}


def test_after_a_time_without_sight_it_begins_anew() -> None:
    watch = Watch(60)
    watch.silent({1: UNTIL}, now=0)

    watch.look_away()

    assert watch.silent({1: UNTIL}, now=100) == {}
    assert watch.silent({1: UNTIL}, now=160) == {1: UNTIL}
