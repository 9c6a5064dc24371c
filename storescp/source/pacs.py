"""The PACS that a series comes from: what it has of the series, and how to get it."""

from collections.abc import Sequence
from typing import Protocol

from db.spool import SeriesKey

ANSWER_SECONDS = 10.0
"""A PACS that is slower is not asked: the quiet period rules."""
FETCH_SECONDS = 60.0
"""Silence that is tolerated while instances are fetched: they may be on a slow archive."""


class SourceUnavailable(Exception):
    """No answer that can be used; the text says why, in the operator's words."""


class Source(Protocol):
    """All methods block, not longer than the time-outs above; all raise SourceUnavailable."""

    def count(self, key: SeriesKey) -> int:
        """How many instances the PACS has of a series; 0 where it has none."""

    def instances(self, key: SeriesKey) -> frozenset[str]:
        """Their SOP Instance UIDs."""

    def fetch(self, key: SeriesKey, sop_instance_uids: Sequence[str], *, of: int) -> None:
        """Have these instances come, through the same checks into the same spool.

        ``of`` : how many the PACS has of the series.
        """
