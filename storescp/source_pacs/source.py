"""The interface of a source PACS: count, list and fetch the instances of a series."""

from collections.abc import Sequence
from typing import Protocol

from common.spool.layout import SeriesKey

ANSWER_SECONDS = 10.0
"""Timeout of a query; the quiet period decides for a slower PACS."""
FETCH_SECONDS = 60.0
"""Longest silence during a fetch: the instances may be on a slow archive."""
QUERY_LIMIT_SECONDS = 60.0
"""Time limit of a query with all its pages."""
FETCH_LIMIT_SECONDS = 1800.0
"""Time limit of a fetch."""


class SourceUnavailable(Exception):
    """No usable answer; the text gives the operator the reason."""


class Source(Protocol):
    """Methods block, at most for the time limits above, and raise SourceUnavailable."""

    def count(self, key: SeriesKey) -> int:
        """Return the number of instances that the PACS has of a series, 0 for none."""

    def instances(self, key: SeriesKey) -> frozenset[str]:
        """Return their SOP Instance UIDs."""

    def fetch(self, key: SeriesKey, sop_instance_uids: Sequence[str], *, of: int) -> None:
        """Fetch these instances into the spool, with the checks of a C-STORE.

        ``of`` : number of instances that the PACS has of the series.
        """
