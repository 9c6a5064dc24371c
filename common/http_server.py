"""HTTP/1.1 by uvicorn with limits for connections and deadlines for their requests."""

import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from common.connection_limits import oldest_of_busiest
from common.logging import get_logger

HEADER_SECONDS = 20.0
MAX_WAITING = 64
"""Connections without a complete request, of all addresses."""
RESERVED_SHARE = 4

log = get_logger(__name__)


class TimeoutH11Protocol(H11Protocol):
    """HTTP/1.1 with a timeout before the first request and within the headers of each.

    uvicorn limits the silence between two requests only. Above ``MAX_WAITING`` connections
    without a complete request, each new one closes the oldest of the address that has the most.
    """

    body_seconds: float | None = None
    """Longest time for a body; None where the application limits it."""

    def connection_made(self, transport: Any) -> None:
        """Start the timeout."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._close_surplus()
        self._check_timeout()

    def on_response_complete(self) -> None:
        """Restart the timeout for the next request."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer 400 unless a response has begun.

        A request whose body is not valid HTTP may have a response already, or get one from the
        application; uvicorn would raise in either case.
        """
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _body_is_late(self, seconds: float) -> bool:
        receiving = self.cycle is not None and self.cycle.more_body
        return (
            self.body_seconds is not None
            and receiving
            and seconds > HEADER_SECONDS + self.body_seconds
        )

    @property
    def _waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_surplus(self) -> None:
        waiting = {
            one: str((one.client or ("",))[0])
            for one in sorted(
                (
                    one
                    for one in self.connections
                    if isinstance(one, TimeoutH11Protocol) and one._waiting
                ),
                key=lambda one: one._waiting_since,
            )
        }
        surplus = oldest_of_busiest(waiting) if len(waiting) > MAX_WAITING else None
        if surplus is not None:
            self.connections.discard(surplus)
            surplus.transport.abort()

    def _check_timeout(self) -> None:
        if self.transport.is_closing():
            return
        seconds = self.loop.time() - self._waiting_since
        if seconds > HEADER_SECONDS and (self._waiting or self._body_is_late(seconds)):
            self.transport.abort()
            return
        self.loop.call_later(HEADER_SECONDS / 4, self._check_timeout)


class LimitedListener(socket.socket):
    """A listening socket with limits for all connections and for those of one peer.

    Without them, silent connections or TLS handshakes could use up the descriptors that
    C-STORE needs. Of the last quarter of the connections, a peer gets at most one, so that some
    peers cannot take all of them.
    """

    def __init__(self, listening: socket.socket, *, limit: int, limit_per_peer: int) -> None:
        super().__init__(fileno=listening.detach())
        self._limit = limit
        self._limit_per_peer = limit_per_peer
        self._open: dict[socket.socket, str] = {}

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept; raises ConnectionAbortedError above a limit, which asyncio ignores."""
        connection, address = super().accept()
        peer = str(address[0])
        self._open = {
            one: its_peer for one, its_peer in self._open.items() if one.fileno() >= 0
        }
        of_peer = sum(its_peer == peer for its_peer in self._open.values())
        if not self._has_place(of_peer):
            connection.close()
            log.warning("connection_refused", peer=peer, reason="too many connections")
            raise ConnectionAbortedError
        self._open[connection] = peer
        return connection, address

    def _has_place(self, of_peer: int) -> bool:
        """Return whether a peer with so many open connections may have another one."""
        if of_peer == 0:
            return len(self._open) < self._limit
        unreserved = self._limit - self._limit // RESERVED_SHARE
        return of_peer < self._limit_per_peer and len(self._open) < unreserved
