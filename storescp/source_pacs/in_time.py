"""Queries to the source PACS in a child process with a deadline."""

from collections.abc import Callable
from typing import Any, TypeVar

from common import supervised
from storescp.source_pacs.source import QUERY_LIMIT_SECONDS, SourceUnavailable

T = TypeVar("T")


def in_time(function: Callable[..., T], *args: Any, seconds: float = QUERY_LIMIT_SECONDS) -> T:
    """Return the result of a query; raises SourceUnavailable, also at the deadline."""
    try:
        return supervised.call(function, *args, seconds=seconds, raises=(SourceUnavailable,))
    except supervised.DeadlineExceeded:
        raise SourceUnavailable(f"no complete answer within {seconds:g} s") from None
    except supervised.ChildEnded:
        raise SourceUnavailable("the process of the query ended") from None
