"""Covered: leases that count as silent, whatever the wall clocks of the workers."""

from datetime import UTC, datetime, timedelta

from worker.lease_monitor import LeaseMonitor

UNTIL = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_a_lease_is_silent_when_it_stayed_the_same_for_too_long() -> None:
    monitor = LeaseMonitor(60)

    assert monitor.silent({1: UNTIL}, now=0) == {}
    assert monitor.silent({1: UNTIL, 2: UNTIL}, now=59) == {}
    assert monitor.silent({1: UNTIL, 2: UNTIL}, now=60) == {1: UNTIL}


def test_a_lease_that_changes_is_alive_even_when_its_clock_goes_back() -> None:
    monitor = LeaseMonitor(60)

    for beat in range(10):
        lease = {1: UNTIL - timedelta(hours=beat)}
        assert monitor.silent(lease, now=beat * 20.0) == {}


def test_leases_that_ended_are_forgotten() -> None:
    monitor = LeaseMonitor(60)
    monitor.silent({1: UNTIL}, now=0)
    monitor.silent({}, now=30)

    assert monitor.silent({1: UNTIL}, now=70) == {}


def test_after_a_reset_every_lease_is_watched_from_the_start() -> None:
    monitor = LeaseMonitor(60)
    monitor.silent({1: UNTIL}, now=0)

    monitor.reset()

    assert monitor.silent({1: UNTIL}, now=100) == {}
    assert monitor.silent({1: UNTIL}, now=160) == {1: UNTIL}
