"""Back-off: growth, cap and jitter."""

from hypothesis import given
from hypothesis import strategies as st

from common.backoff import backoff


def test_waits_double_up_to_the_cap() -> None:
    waits = [
        backoff(n, base_seconds=2, cap_seconds=20, jitter=0).total_seconds() for n in range(6)
    ]

    assert waits == [2, 2, 4, 8, 16, 20]


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_jitter_shortens_by_at_most_a_half_and_nothing_overflows(
    attempt: int, jitter: float
) -> None:
    wait = backoff(attempt, base_seconds=5, cap_seconds=600, jitter=jitter)

    assert 2.5 <= wait.total_seconds() <= 600
