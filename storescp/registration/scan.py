"""Find series in the spool that the database does not have: at the start and periodically."""

import time
from pathlib import Path

from common.logging import get_logger
from common.metrics import QUARANTINED
from common.spool.layout import SeriesKey, list_series
from common.spool.quarantine import list_quarantined
from db.session import Sessions
from db.spool_state import registered_mtimes
from storescp.registration.pending_series import PendingSeries

INTERVAL_SECONDS = 30.0
FRESH_SECONDS = 1.0
"""A newer change may still be reported by the receiver process that made it."""

log = get_logger(__name__)


class SpoolScan:
    """Compare modification times of series folders with those at their registration.

    The first run reads the registered times from the database; later runs read the disk only.
    A series that another process registers is therefore found changed once here, and
    registering it again changes nothing.
    """

    def __init__(self, spool_dir: Path, pending: PendingSeries) -> None:
        self._spool_dir = spool_dir
        self._pending = pending
        self._registered: dict[SeriesKey, int] | None = None
        self._next_run = 0.0
        self._fresh: set[SeriesKey] = set()

    def studies(self) -> set[str]:
        """Return the studies of the series that were too fresh to be found by the last scan."""
        return {key.study_instance_uid for key in self._fresh}

    def run(self, sessions: Sessions, *, now: float) -> None:
        """Add new and changed series to ``PendingSeries``, if a scan is due.

        ``now`` : seconds of the monotonic clock.
        """
        if now < self._next_run:
            return
        if self._registered is None:
            with sessions() as session:
                recorded = registered_mtimes(session)
            self._registered = {SeriesKey(*uids): mtime for uids, mtime in recorded.items()}
        QUARANTINED.set(len(list_quarantined(self._spool_dir)))
        on_disk = dict(list_series(self._spool_dir))
        changed = {
            key: (time.time_ns() - mtime_ns) / 1e9
            for key, mtime_ns in on_disk.items()
            if self._registered.get(key) != mtime_ns
        }
        fresh = {
            key
            for key, age in changed.items()
            if 0 <= age < FRESH_SECONDS and key not in self._pending
        }
        self._fresh = fresh
        found = sum(
            self._add(key, on_disk[key], age_seconds, now)
            for key, age_seconds in changed.items()
            if key not in fresh
        )
        self._registered = {
            key: mtime for key, mtime in self._registered.items() if key in on_disk
        }
        self._next_run = now + (FRESH_SECONDS if fresh else INTERVAL_SECONDS)
        if found:
            log.info("scan_found", series=found)

    def _add(self, key: SeriesKey, mtime_ns: int, age_seconds: float, now: float) -> bool:
        if not self._pending.found_by_scan(key, last_arrival=now - max(0.0, age_seconds)):
            return False
        self.registered(
            key, mtime_ns
        )  # find it once only, even if there is nothing to register
        return True

    def registered(self, key: SeriesKey, mtime_ns: int) -> None:
        """Remember the modification time of a series at its registration."""
        if self._registered is not None:
            self._registered[key] = mtime_ns
