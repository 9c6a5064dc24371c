"""Instances that were refused or broken off at reception and have not been stored since."""

from collections import OrderedDict

from common.spool.layout import SeriesKey

MAX_SERIES = 1_000
MAX_INSTANCES = 10_000
"""UIDs of one series; more are not counted. A sender of garbage must not fill the memory."""


class RefusedInstances:
    """SOP Instance UIDs by series; the series that is longest known is dropped first.

    Lost at a crash: the series is then registered as if nothing had been refused.
    """

    def __init__(self) -> None:
        self._uids: OrderedDict[SeriesKey, set[str]] = OrderedDict()

    def add(self, key: SeriesKey, sop_instance_uid: str) -> None:
        """Add an instance."""
        uids = self._uids.setdefault(key, set())
        if len(uids) < MAX_INSTANCES:
            uids.add(sop_instance_uid)
        if len(self._uids) > MAX_SERIES:
            self._uids.popitem(last=False)

    def discard(self, key: SeriesKey, sop_instance_uid: str) -> None:
        """Remove an instance that is stored now."""
        uids = self._uids.get(key)
        if uids is not None:
            uids.discard(sop_instance_uid)
            if not uids:
                del self._uids[key]

    def count(self, key: SeriesKey) -> int:
        """Return the number of instances of a series."""
        return len(self._uids.get(key, ()))
