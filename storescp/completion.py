"""When is a series complete? A pure rule over what has been seen of it."""

from dataclasses import dataclass

from db.intake import CompletedBy

AFTER_RELEASE = 0.2
"""Share of the quiet period that is enough once the last sender has released."""
STILL_OPEN = 6.0
"""Quiet periods after which an open association that went silent no longer counts as sending:
some senders keep an idle association for hours."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What has been seen of a series.

    ``last_arrival`` : seconds of a monotonic clock. ``sending`` : open associations whose
    newest instance is of this series. ``released`` : the last sender ended in order after
    more than one instance.
    """

    last_arrival: float
    sending: int = 0
    released: bool = False
    found_by_scan: bool = False


def judge(evidence: Evidence, *, now: float, quiet_seconds: float) -> CompletedBy | None:
    """The evidence by which the series is complete at ``now``, or None while it is not.

    A release shortens the wait, its absence never blocks: not for more than ``STILL_OPEN``
    quiet periods.
    """
    silence = now - evidence.last_arrival
    if evidence.sending:
        return "quiet" if silence >= STILL_OPEN * quiet_seconds else None
    if evidence.found_by_scan:
        return "scan" if silence >= quiet_seconds else None
    if silence >= quiet_seconds:
        return "quiet"
    if evidence.released and silence >= AFTER_RELEASE * quiet_seconds:
        return "released"
    return None
