"""Covered: what is too slow, and what only looks like it."""

import pytest

from storescp.association.pace import KILOBYTE, Pace, TooSlow


def pace() -> Pace:
    return Pace(stall_seconds=30, min_kb_per_second=4)


def test_a_pause_between_messages_is_no_stall() -> None:
    one = pace()
    one.add(100, now=0)
    one.end()

    one.check(now=1000)


def test_silence_within_a_message_is_too_slow() -> None:
    one = pace()
    one.add(10_000_000, now=0)

    one.check(now=30)
    with pytest.raises(TooSlow, match="silent for 30 s"):
        one.check(now=30.1)


def test_a_byte_now_and_then_is_too_slow() -> None:
    one = pace()
    for second in range(31):
        one.add(1, now=second)
        one.check(now=second)
    one.add(1, now=32)

    with pytest.raises(TooSlow, match="slower than 4 KB/s"):
        one.check(now=32)


def test_a_slow_line_with_a_long_pause_is_fast_enough() -> None:
    one = pace()
    for second in range(0, 3600, 20):
        one.add(20 * 4 * KILOBYTE, now=second)
        one.check(now=second)


def test_each_message_starts_anew() -> None:
    one = pace()
    one.add(1, now=0)
    one.end()
    one.add(1, now=100)

    one.check(now=101)
