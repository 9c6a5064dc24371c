"""Formats of times, proportions and sizes on the pages."""

from datetime import datetime

from worker.pipeline.statements import percent_text


def local_time(moment: datetime | None) -> str:
    """Format a time in the time zone of the server; – for None."""
    return "–" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


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
