"""Covered: messages that are too slow, and slow ones that are not."""

import pytest

from storescp.association.transfer_rate import KILOBYTE, TransferRateMonitor, TransferTimeout


def monitor() -> TransferRateMonitor:
    return TransferRateMonitor(stall_seconds=30, min_kb_per_second=4)


def test_a_pause_between_messages_is_no_stall() -> None:
    one = monitor()
    one.add(100, now=0)
    one.end()

    one.check(now=1000)


def test_silence_within_a_message_is_too_slow() -> None:
    one = monitor()
    one.add(10_000_000, now=0)

    one.check(now=30)
    with pytest.raises(TransferTimeout, match="silent for 30 s"):
        one.check(now=30.1)


def test_single_bytes_at_intervals_are_too_slow() -> None:
    one = monitor()
    for second in range(31):
        one.add(1, now=second)
        one.check(now=second)
    one.add(1, now=32)

    with pytest.raises(TransferTimeout, match="slower than 4 KB/s"):
        one.check(now=32)


def test_a_slow_line_with_a_long_pause_is_fast_enough() -> None:
    one = monitor()
    for second in range(0, 3600, 20):
        one.add(20 * 4 * KILOBYTE, now=second)
        one.check(now=second)


def test_each_message_has_its_own_rate() -> None:
    one = monitor()
    one.add(1, now=0)
    one.end()
    one.add(1, now=100)

    one.check(now=101)
