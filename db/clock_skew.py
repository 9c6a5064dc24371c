"""SQL conditions on timestamps that tolerate a clock that was set back.

Timestamps are written by the clocks of several hosts. After a clock was set back (a flat
battery, then NTP), a stored timestamp may lie further in the future than any of our delays. It
then counts as past.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import InstrumentedAttribute

LONGEST_BACKOFF = timedelta(minutes=20)  # at most 15 minutes between two attempts
LONGEST_LEASE = timedelta(minutes=65)  # LEASE_SECONDS is at most one hour
LONGEST_RETRY_AFTER = timedelta(hours=25)  # a Retry-After is honored up to one day

Timestamp = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]


def is_due(
    next_attempt_at: Timestamp,
    attempts: InstrumentedAttribute[int],
    now: datetime,
    *,
    longest: timedelta = LONGEST_BACKOFF,
) -> ColumnElement[bool]:
    """Return the condition that an attempt is due; the first attempt always is."""
    return or_(attempts == 0, is_past(next_attempt_at, now, longest=longest))


def is_past(timestamp: Timestamp, now: datetime, *, longest: timedelta) -> ColumnElement[bool]:
    """Return the condition that a timestamp is past, or more than ``longest`` ahead."""
    return or_(timestamp <= now, timestamp > now + longest)
