"""Decide which connection to close when one server has too many.

A flood of connections takes the places of the connections of the flood: a new connection is
accepted, and the oldest one that has not sent its request is closed, of the address that has
the most. So a client that sends its request at once is served during a flood from other
addresses, and mostly also from its own.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import TypeVar

BACKLOG = 1024
"""Connections that wait to be accepted; a full queue drops requests, which clients repeat only
after seconds. The limit of the kernel (net.core.somaxconn) applies, too."""

T = TypeVar("T", bound=Hashable)


def oldest_of_busiest(waiting: Mapping[T, str]) -> T | None:
    """Return the connection to close, or None without one.

    ``waiting`` : the address of each connection without a request, oldest first.
    """
    counts = Counter(waiting.values())
    if not counts:
        return None
    busiest, _ = counts.most_common(1)[0]
    return next(one for one, address in waiting.items() if address == busiest)
