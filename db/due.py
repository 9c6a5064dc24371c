"""What is due by a clock that may have been set back.

A moment was written by some host's clock at some time. Where that went back since (a flat
battery, then NTP), it lies in a future that nothing of ours reaches: it counts as past.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import InstrumentedAttribute

LONGEST_BACKOFF = timedelta(minutes=20)  # 15 are the most between two attempts
LONGEST_LEASE = timedelta(minutes=65)  # LEASE_SECONDS is an hour at the most
LONGEST_RETRY_AFTER = timedelta(hours=25)  # a day is the most that a destination may ask for

Moment = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]


def is_due(
    next_attempt_at: Moment,
    attempts: InstrumentedAttribute[int],
    now: datetime,
    *,
    longest: timedelta = LONGEST_BACKOFF,
) -> ColumnElement[bool]:
    """Whether the time has come; for what was never attempted it always has."""
    return or_(attempts == 0, is_past(next_attempt_at, now, longest=longest))


def is_past(moment: Moment, now: datetime, *, longest: timedelta) -> ColumnElement[bool]:
    """Whether a moment has passed, or is further ahead than it may be."""
    return or_(moment <= now, moment > now + longest)
