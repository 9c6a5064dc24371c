"""When is a series complete? A pure rule over what has been seen of it."""

from dataclasses import dataclass

from db.intake import CompletedBy
from storescp.source.census import Census

AFTER_RELEASE = 0.2
"""Share of the quiet period that is enough once the last sender has released."""
STILL_OPEN = 6.0
"""Quiet periods after which an open association that went silent no longer counts as sending:
some senders keep an idle association for hours."""
STILL_MISSING = 6.0
"""Quiet periods that a series waits for instances that the PACS has and we have not."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What has been seen of a series.

    ``last_arrival`` : seconds of a monotonic clock. ``sending`` : open associations whose
    newest instance is of this series. ``released`` : the last sender ended in order after
    more than one instance. ``census`` : the newest count of the PACS, if there is one.
    """

    last_arrival: float
    sending: int = 0
    released: bool = False
    found_by_scan: bool = False
    census: Census | None = None


def judge(evidence: Evidence, *, now: float, quiet_seconds: float) -> CompletedBy | None:
    """The evidence by which the series is complete at ``now``, or None while it is not.

    A release shortens the wait, its absence never blocks: not for more than ``STILL_OPEN``
    quiet periods. A count of the PACS ends it or lengthens it; one that is older than the last
    arrival says nothing.
    """
    silence = now - evidence.last_arrival
    census = evidence.census
    if census is not None and census.asked_at >= evidence.last_arrival:
        if census.is_reached(quiet_seconds=quiet_seconds):
            return "count"
        if census.may_be_completed() and silence < STILL_MISSING * quiet_seconds:
            return None
    if evidence.sending:
        return "quiet" if silence >= STILL_OPEN * quiet_seconds else None
    if evidence.found_by_scan:
        return "scan" if silence >= quiet_seconds else None
    if silence >= quiet_seconds:
        return "quiet"
    if evidence.released and silence >= AFTER_RELEASE * quiet_seconds:
        return "released"
    return None
