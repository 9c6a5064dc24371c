"""Limit of wrong tokens by address."""

from worker.review.login_limit import (
    MAX_ADDRESSES,
    MAX_FAILURES,
    WINDOW_SECONDS,
    LoginLimit,
)


def test_an_address_waits_after_its_failures_and_others_do_not() -> None:
    limit = LoginLimit()
    for second in range(MAX_FAILURES):
        assert limit.wait_seconds("10.0.0.1", now=second) == 0
        limit.failed("10.0.0.1", now=second)

    assert limit.wait_seconds("10.0.0.1", now=MAX_FAILURES) == WINDOW_SECONDS - MAX_FAILURES
    assert limit.wait_seconds("10.0.0.2", now=MAX_FAILURES) == 0
    assert limit.wait_seconds("10.0.0.1", now=WINDOW_SECONDS) == 0


def test_the_number_of_addresses_is_bounded() -> None:
    limit = LoginLimit()
    for number in range(MAX_ADDRESSES + 100):
        limit.failed(str(number), now=0)

    assert len(limit._failures) == MAX_ADDRESSES
