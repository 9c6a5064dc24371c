"""Limit the connections without an association, before a receiver process gets them.

The acceptor decides by the address alone, so that a connection above the limit costs no thread
and no message (docs/decisions/0038-floods-of-many-addresses.md).
"""

import threading
from collections import Counter
from collections.abc import Callable

MAX_WAITING = 64
"""Of all addresses. A receiver process begins about 100 associations a second, so that a sender
waits for about a second behind these."""
MAX_UNLISTED = 8
"""Of all addresses that are not on a list of addresses: they only get an A-ASSOCIATE-RJ."""


class WaitingConnections:
    """The number of waiting connections of each address. Thread-safe.

    An address without a waiting connection always gets one, if it may send.
    """

    def __init__(self, *, limit_per_address: int, may_send: Callable[[str], bool]) -> None:
        """``may_send`` : whether the list of addresses admits an address."""
        self._limit_per_address = limit_per_address
        self._may_send = may_send
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        self._unlisted = 0

    def admit(self, address: str) -> bool:
        """Count a connection and return True, or return False where it is above the limit."""
        listed = self._may_send(address)
        with self._lock:
            if not self._has_place(address, listed=listed):
                return False
            self._waiting[address] += 1
            self._unlisted += not listed
            return True

    def settle(self, address: str) -> None:
        """Forget a connection that has become an association, or has ended."""
        listed = self._may_send(address)
        with self._lock:
            if address not in self._waiting:
                return
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]
            self._unlisted -= not listed

    def count(self) -> int:
        """Return the number of waiting connections."""
        with self._lock:
            return self._waiting.total()

    def _has_place(self, address: str, *, listed: bool) -> bool:
        if not listed and self._unlisted >= MAX_UNLISTED:
            return False
        mine = self._waiting.get(address, 0)
        if self._waiting.total() < MAX_WAITING:
            return mine < self._limit_per_address
        # Addresses that wait with few keep their places.
        return mine < max(1, MAX_WAITING // (len(self._waiting) + (mine == 0)))
