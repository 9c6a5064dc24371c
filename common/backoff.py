"""Exponential back-off between attempts."""

from datetime import timedelta


def backoff(
    attempt: int, *, base_seconds: float, cap_seconds: float, jitter: float
) -> timedelta:
    """Return the delay before the next attempt.

    The delay doubles with each attempt (from 1) up to the cap and is then shortened by up to
    half. ``jitter`` in [0, 1) comes from the caller's random source; it spreads rows that
    failed at the same time.
    """
    doublings = min(max(attempt, 1) - 1, 30)
    seconds = min(cap_seconds, base_seconds * 2**doublings)
    return timedelta(seconds=seconds * (1 - jitter / 2))
