"""Repeated log lines about refused clients: which are dropped, and how many are reported."""

import pytest
import structlog

from common.log_limit import MAX_KEYS, MAX_LINES, WINDOW_SECONDS, RefusalLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def is_written(limit: RefusalLimit, **line: object) -> bool:
    try:
        limit(None, "", dict(line))
    except structlog.DropEvent:
        return False
    return True


def test_a_repeated_refusal_is_dropped_and_counted_in_the_next_window() -> None:
    clock = Clock()
    limit = RefusalLimit(clock)
    line = {"event": "connection_refused", "peer": "10.0.0.1"}

    written = [is_written(limit, **line) for _ in range(MAX_LINES + 5)]
    assert sum(written) == MAX_LINES
    assert is_written(limit, event="connection_refused", peer="10.0.0.2")

    clock.now = WINDOW_SECONDS
    assert limit(None, "", dict(line)) == {**line, "suppressed": 5}


def test_many_addresses_share_one_limit() -> None:
    limit = RefusalLimit(Clock())
    lines = [
        is_written(limit, event="association_rejected", peer=f"10.0.{n // 256}.{n % 256}")
        for n in range(5000)
    ]

    assert sum(lines) == MAX_KEYS + MAX_LINES


@pytest.mark.parametrize("event", ["series_queued", "association_accepted"])
def test_other_lines_are_not_limited(event: str) -> None:
    limit = RefusalLimit(Clock())

    assert all(is_written(limit, event=event, peer="10.0.0.1") for _ in range(10 * MAX_LINES))
