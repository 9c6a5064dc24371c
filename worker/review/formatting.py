"""Formats of times, proportions and sizes on the pages."""

from datetime import datetime

from common import times
from worker.pipeline.statements import percent_text


def local_time(moment: datetime | None) -> str:
    """Format a time with its offset; – for None. A space lets narrow columns break it."""
    return "–" if moment is None else times.local_time(moment).replace("T", " ")


def percent(value: float | None) -> str:
    """Format a proportion (0–1) as report and picture do; – for None."""
    return "–" if value is None else percent_text(value)


def size(count: float) -> str:
    """Format a number of bytes with the unit of the SI prefix that fits."""
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"
