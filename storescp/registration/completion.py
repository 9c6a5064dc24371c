"""The rule by which a series is complete."""

from dataclasses import dataclass

from db.completed_series import CompletedBy
from storescp.registration.instance_count import InstanceCount

AFTER_RELEASE = 0.2
"""Share of the quiet period that is enough after the last sender has released."""
STILL_OPEN = 6.0
"""Quiet periods after which a silent open association no longer counts as sending: some
senders keep an idle association for hours."""
STILL_MISSING = 6.0
"""Quiet periods that a series waits for instances that only the PACS has."""
BROKEN_OFF = 6.0
"""Quiet periods after an association that ended without a release: senders connect again."""
STILL_REFUSED = 60.0
"""Quiet periods that a series waits for instances that were refused, 10 minutes by default:
senders try again after 1 to 10 minutes (dcm4chee 5 × 1 min, gateways n³ × 10 s or 10 min)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence that a series is complete.

    ``last_arrival`` : seconds of a monotonic clock. ``sending`` : open associations whose
    newest instance is of this series. ``released`` : the last sender released its association
    after more than one instance. ``instance_count`` : the newest count of the PACS, if any.
    ``refused`` : instances that were refused or broken off, and not stored since.
    ``broken_off`` : an association ended without a release while it sent the series, and none
    has been released since.
    """

    last_arrival: float
    sending: int = 0
    released: bool = False
    found_by_scan: bool = False
    instance_count: InstanceCount | None = None
    refused: int = 0
    broken_off: bool = False


def completed_by(evidence: Evidence, *, now: float, quiet_seconds: float) -> CompletedBy | None:
    """Return the evidence that makes the series complete at ``now``, or None.

    A release shortens the wait. An open association extends it by at most ``STILL_OPEN`` quiet
    periods; instances that were refused and an association that broke off extend it, too. A
    count of the PACS ends or extends it; a count older than the last arrival is ignored.
    """
    silence = now - evidence.last_arrival
    instance_count = evidence.instance_count
    if instance_count is not None and instance_count.asked_at >= evidence.last_arrival:
        if instance_count.is_reached(quiet_seconds=quiet_seconds):
            return "count"
        if instance_count.may_be_completed() and silence < STILL_MISSING * quiet_seconds:
            return None
    if evidence.refused:
        return "quiet" if silence >= STILL_REFUSED * quiet_seconds else None
    if evidence.broken_off:
        return "quiet" if silence >= BROKEN_OFF * quiet_seconds else None
    if evidence.sending:
        return "quiet" if silence >= STILL_OPEN * quiet_seconds else None
    if evidence.found_by_scan:
        return "scan" if silence >= quiet_seconds else None
    if silence >= quiet_seconds:
        return "quiet"
    if evidence.released and silence >= AFTER_RELEASE * quiet_seconds:
        return "released"
    return None
