"""How many instances a PACS counts in a series, when to ask it, when to fetch: pure rules.

All times are seconds of one monotonic clock; shares are of the quiet period.
"""

from dataclasses import dataclass

ASK_AFTER = 0.05
"""Share of silence after which it is asked again: while instances come, it need not be."""
SETTLED_AFTER = 0.1
"""Share for which a count must have stood: the PACS may be receiving the series, too."""
FETCH_AFTER = 0.5
"""Share of silence after which what is missing is fetched, unless the sender has released."""
MAX_FETCHES = 3
MAX_DOUBLINGS = 5


@dataclass(frozen=True, slots=True)
class Census:
    """The newest answer of the PACS about one series.

    ``expected`` : what it counts. ``held`` : what the spool had when it answered.
    ``asked_at`` : when the question was sent. ``same_since`` : when it was first asked of
    those answers that have been the same. ``answers`` : how many since the last arrival.
    ``fetches`` : how often what was missing was fetched, with or without success.
    """

    expected: int
    held: int
    asked_at: float
    same_since: float
    answers: int = 1
    fetches: int = 0

    @property
    def missing(self) -> int:
        """How many instances the PACS has more than the spool."""
        return max(0, self.expected - self.held)

    def is_reached(self, *, quiet_seconds: float) -> bool:
        """Whether exactly what the PACS counts is here, and its count has settled.

        A count below ours is of a PACS that has not received all yet, or of a wrong one.
        """
        settled = self.asked_at - self.same_since >= SETTLED_AFTER * quiet_seconds
        return settled and 0 < self.expected == self.held

    def may_be_completed(self) -> bool:
        """Whether something is missing that may still be fetched."""
        return self.missing > 0 and self.fetches < MAX_FETCHES


def next_census(
    before: Census | None,
    expected: int,
    held: int,
    *,
    asked_at: float,
    last_arrival: float,
) -> Census:
    """The census after another answer."""
    if before is None:
        return Census(expected, held, asked_at, asked_at)
    return Census(
        expected,
        held,
        asked_at,
        same_since=before.same_since if before.expected == expected else asked_at,
        answers=before.answers + 1 if before.asked_at >= last_arrival else 1,
        fetches=before.fetches,
    )


def ask_at(census: Census | None, *, last_arrival: float, quiet_seconds: float) -> float:
    """When to ask: at once for a new series, soon after the last arrival, then less often."""
    if census is None:
        return 0.0
    pause = SETTLED_AFTER * quiet_seconds
    if census.asked_at < last_arrival:
        return max(last_arrival + ASK_AFTER * quiet_seconds, census.asked_at + pause)
    doublings = min(census.answers - 1, MAX_DOUBLINGS)
    return census.asked_at + pause * 2.0**doublings


def fetch_at(
    *, last_arrival: float, sending: bool, released: bool, quiet_seconds: float
) -> float:
    """From when on what is missing may be fetched: not while its sender is still at it."""
    if sending:
        return last_arrival + quiet_seconds
    return last_arrival if released else last_arrival + FETCH_AFTER * quiet_seconds
