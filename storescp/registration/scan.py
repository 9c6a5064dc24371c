"""Find what the spool holds and the record missed: at the start, and now and then."""

import time
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db.intake import registered_mtimes
from db.spool import SeriesKey, list_series
from db.telemetry import get_logger
from storescp.registration.arrivals import Arrivals

INTERVAL_SECONDS = 30.0
FRESH_SECONDS = 1.0
"""What changed so lately may still be told of by the process that receives it."""

log = get_logger(__name__)


class Scan:
    """Compares the modification times of series folders with those at their registration.

    The record is asked once, at the first run; later runs look at the disk only. A series
    that another process registers is found changed here once, and registering it again
    changes nothing.
    """

    def __init__(self, spool_dir: Path, arrivals: Arrivals) -> None:
        self._spool_dir = spool_dir
        self._arrivals = arrivals
        self._registered: dict[SeriesKey, int] | None = None
        self._next_run = 0.0

    def run(self, sessions: sessionmaker[Session], *, now: float) -> None:
        """Hand series that are new or changed to ``Arrivals``, if it is time to look.

        ``now`` : seconds of the monotonic clock.
        """
        if now < self._next_run:
            return
        if self._registered is None:
            with sessions() as session:
                recorded = registered_mtimes(session)
            self._registered = {SeriesKey(*uids): mtime for uids, mtime in recorded.items()}
        on_disk = dict(list_series(self._spool_dir))
        changed = {
            key: (time.time_ns() - mtime_ns) / 1e9
            for key, mtime_ns in on_disk.items()
            if self._registered.get(key) != mtime_ns
        }
        fresh = {
            key
            for key, age in changed.items()
            if 0 <= age < FRESH_SECONDS and not self._arrivals.is_pending(key)
        }
        found = sum(
            self._hand_over(key, on_disk[key], age_seconds, now)
            for key, age_seconds in changed.items()
            if key not in fresh
        )
        self._registered = {
            key: mtime for key, mtime in self._registered.items() if key in on_disk
        }
        self._next_run = now + (FRESH_SECONDS if fresh else INTERVAL_SECONDS)
        if found:
            log.info("scan_found", series=found)

    def _hand_over(self, key: SeriesKey, mtime_ns: int, age_seconds: float, now: float) -> bool:
        if not self._arrivals.note_found(key, last_arrival=now - max(0.0, age_seconds)):
            return False
        self.registered(key, mtime_ns)  # not again, should there be nothing to register
        return True

    def registered(self, key: SeriesKey, mtime_ns: int) -> None:
        """Remember the modification time that a series had when it was registered."""
        if self._registered is not None:
            self._registered[key] = mtime_ns
