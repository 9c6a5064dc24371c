"""Detection of leases that are no longer extended, by a monotonic clock.

``lease_until`` is only compared with its own earlier value, never with a clock: hosts disagree
about the time, and the clock of a host can jump. A lease counts as expired when this process
has seen it unchanged for the length of a lease, by its own monotonic clock (as in the leader
election of Kubernetes).
"""

from collections.abc import Mapping
from datetime import datetime


class LeaseMonitor:
    """Remembers since when each active lease is unchanged; each sweeper has its own.

    ``seconds`` : time without an extension after which a worker counts as dead.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[int, tuple[datetime, float]] = {}

    def silent(self, leases: Mapping[int, datetime], *, now: float) -> dict[int, datetime]:
        """Return the active leases that were not extended for too long.

        ``leases`` : all active leases, ``lease_until`` by screening id. ``now`` : seconds of
        the monotonic clock.
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

    def reset(self) -> None:
        """Forget all leases, after a period in which no lease could be read or extended."""
        self._seen.clear()
