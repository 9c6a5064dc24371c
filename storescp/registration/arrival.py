"""The arrival of an instance."""

from dataclasses import dataclass

from common.spool.layout import SeriesKey


@dataclass(frozen=True, slots=True)
class Arrival:
    """A durable instance.

    ``assoc_id`` : log ID of its association or HTTP request. ``changed`` : the spool did not
    have these bytes before. ``at`` : seconds of the monotonic clock. ``held`` : not part of the
    series: changed content from another sender, which waits for a decision.
    """

    key: SeriesKey
    sop_instance_uid: str
    assoc_id: str
    calling_ae_title: str
    changed: bool
    at: float
    held: bool = False
