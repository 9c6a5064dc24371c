"""How long to wait before the next attempt."""

from datetime import timedelta


def backoff(
    attempt: int, *, base_seconds: float, cap_seconds: float, jitter: float
) -> timedelta:
    """Double with each attempt (from 1) up to the cap, then shorten by up to a half.

    ``jitter`` in [0, 1) comes from the caller's random source; it keeps many rows that failed
    together from coming back together.
    """
    doublings = min(max(attempt, 1) - 1, 30)
    seconds = min(cap_seconds, base_seconds * 2**doublings)
    return timedelta(seconds=seconds * (1 - jitter / 2))
