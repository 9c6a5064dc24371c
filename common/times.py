"""Times for readers: ISO 8601 with the offset of one time zone for the whole process."""

import os
import time
from datetime import datetime
from zoneinfo import ZoneInfo


def local_time(moment: datetime) -> str:
    """Return a time in the time zone of the process, such as ``2026-11-30T16:09:36+01:00``."""
    return moment.astimezone().isoformat(timespec="seconds")


def is_time_zone(name: str) -> bool:
    """Return whether the host knows a time zone by this name."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True


def set_time_zone(name: str | None) -> None:
    """Set the time zone of this process and its children; None leaves that of the host."""
    if name is not None:
        os.environ["TZ"] = name
        time.tzset()
