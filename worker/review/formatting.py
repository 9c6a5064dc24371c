"""Formats of times, proportions and sizes on the pages."""

from datetime import datetime

from common import times


def local_time(moment: datetime | None) -> str:
    """Format a time with its offset; – for None. A space lets narrow columns break it."""
    return "–" if moment is None else times.local_time(moment).replace("T", " ")


def percent(value: float | None) -> str:
    """Format a proportion (0–1) in whole percent; – for None.

    Only exactly 0 and 1 are shown as 0 % and 100 %.
    """
    if value is None:
        return "–"
    if 0 < value < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= value < 1 else f"{100 * value:.0f} %"


def size(count: float) -> str:
    """Format a number of bytes with the unit of the SI prefix that fits."""
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"
