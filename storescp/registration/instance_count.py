"""Instance counts of the source PACS: when to query them, and when to fetch missing instances.

Times are seconds of one monotonic clock. Shares are of the quiet period.
"""

from dataclasses import dataclass

QUERY_AFTER = 0.05
"""Share of silence before another query: none is needed while instances arrive."""
STABLE_AFTER = 0.1
"""Share for which a count must be unchanged: the PACS may still receive the series."""
FETCH_AFTER = 0.5
"""Share of silence before missing instances are fetched, unless the sender has released."""
MAX_FETCHES = 3
MAX_DOUBLINGS = 5


@dataclass(frozen=True, slots=True)
class InstanceCount:
    """The newest answer of the PACS about one series.

    ``expected`` : its count. ``held`` : instances in the spool at the answer. ``asked_at`` :
    time of the query. ``same_since`` : time of the first query of those with the same answer.
    ``answers`` : answers since the last arrival. ``fetches`` : fetches of missing instances,
    with or without success.
    """

    expected: int
    held: int
    asked_at: float
    same_since: float
    answers: int = 1
    fetches: int = 0

    @property
    def missing(self) -> int:
        """The number of instances that the PACS has more than the spool."""
        return max(0, self.expected - self.held)

    def is_reached(self, *, quiet_seconds: float) -> bool:
        """Return whether the spool has exactly the count of the PACS, and the count is stable.

        A count below that of the spool is no evidence: the PACS has not received all instances
        yet, or is the wrong one.
        """
        stable = self.asked_at - self.same_since >= STABLE_AFTER * quiet_seconds
        return stable and 0 < self.expected == self.held

    def may_be_completed(self) -> bool:
        """Return whether instances are missing that may still be fetched."""
        return self.missing > 0 and self.fetches < MAX_FETCHES


def next_count(
    before: InstanceCount | None,
    expected: int,
    held: int,
    *,
    asked_at: float,
    last_arrival: float,
) -> InstanceCount:
    """Return the count after another answer."""
    if before is None:
        return InstanceCount(expected, held, asked_at, asked_at)
    return InstanceCount(
        expected,
        held,
        asked_at,
        same_since=before.same_since if before.expected == expected else asked_at,
        answers=before.answers + 1 if before.asked_at >= last_arrival else 1,
        fetches=before.fetches,
    )


def query_at(
    instance_count: InstanceCount | None, *, last_arrival: float, quiet_seconds: float
) -> float:
    """Return the time of the next query.

    Immediately for a new series, soon after the last arrival, then at doubling intervals.
    """
    if instance_count is None:
        return 0.0
    interval = STABLE_AFTER * quiet_seconds
    if instance_count.asked_at < last_arrival:
        after_arrival = last_arrival + QUERY_AFTER * quiet_seconds
        return max(after_arrival, instance_count.asked_at + interval)
    doublings = min(instance_count.answers - 1, MAX_DOUBLINGS)
    return instance_count.asked_at + interval * 2.0**doublings


def fetch_at(
    *, last_arrival: float, sending: bool, released: bool, quiet_seconds: float
) -> float:
    """Return the time from which missing instances may be fetched: not while they are sent."""
    if sending:
        return last_arrival + quiet_seconds
    return last_arrival if released else last_arrival + FETCH_AFTER * quiet_seconds
