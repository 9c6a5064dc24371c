"""Which leases were not extended for too long, by a clock that nobody can set.

``lease_until`` is compared with no clock, only with what it was before: hosts disagree about
the time, and the time of one host jumps. A watcher must have seen a lease unchanged for as long
as leases last, by its own monotonic clock (as the leader election of Kubernetes does).
"""

from collections.abc import Mapping
from datetime import datetime


class Watch:
    """One per sweeper. ``seconds`` : of silence after which a worker counts as dead."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[int, tuple[datetime, float]] = {}

    def silent(self, leases: Mapping[int, datetime], *, now: float) -> dict[int, datetime]:
        """Those of all active leases (screening id → until when) that were not extended.

        ``now`` : seconds of the monotonic clock.
        """
        self._seen = {
            screening_id: self._seen[screening_id]
            if self._seen.get(screening_id, (None,))[0] == until
            else (until, now)
            for screening_id, until in leases.items()
        }
        return {
            screening_id: until
            for screening_id, (until, since) in self._seen.items()
            if now - since >= self._seconds
        }

    def look_away(self) -> None:
        """Nothing could be seen for a while, nor could anybody extend a lease: begin anew."""
        self._seen.clear()
