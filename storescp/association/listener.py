"""Accept connections up to a limit, with TLS where it is configured."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet, ref

from pynetdicom.transport import ThreadedAssociationServer

from common.connection_limits import BACKLOG, oldest_of_busiest
from common.logging import get_logger
from common.metrics import ASSOCIATIONS

TLS_SECONDS = 10.0
SPARE_THREADS = 128  # for connections without an association, and for other threads
MAX_ENDING_THREADS = 64  # of connections that were closed for a new one
SPARE_CONNECTIONS = 24  # for one address; two threads each

log = get_logger(__name__)


class Listener(ThreadedAssociationServer):  # type: ignore[misc] # pynetdicom is untyped
    """The listening socket; each connection has its own thread.

    Above the limit of all connections, each new one closes the oldest without an association,
    of the address that has the most.
    """

    request_queue_size = BACKLOG  # with pynetdicom's 5, a burst of associations waits a second
    block_on_close = False  # a TLS handshake may take 10 s
    _max_threads = SPARE_THREADS
    _max_per_peer = SPARE_CONNECTIONS

    def limit_connections(self, associations: int, associations_per_peer: int) -> None:
        """Set the limits: the associations, and spare connections without an association.

        One address gets fewer than half of the connections, so that others can connect.
        """
        self._max_threads = 2 * associations + SPARE_THREADS
        self._max_per_peer = min(associations, associations_per_peer) + SPARE_CONNECTIONS

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self._handshakes: dict[socket.socket, str] = {}
        self._waiting: dict[ref[socket.socket], str] = {}
        self._closing: WeakSet[Any] = WeakSet()
        self._lock = threading.Lock()
        super().__init__(*arguments, **keywords)

    def server_activate(self) -> None:
        """Do nothing: the port opens at ``listen``, when the service is ready."""

    def listen(self) -> None:
        """Open the port; raises OSError when it is in use."""
        self.socket.listen(self.request_queue_size)

    def take(self, request: socket.socket, client_address: Any) -> None:
        """Serve an accepted connection; another process may have accepted it."""
        with self._lock:
            self._waiting[ref(request)] = client_address[0]
        if self.verify_request(request, client_address):
            self.process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def settled(self, admitted: set[socket.socket]) -> list[str]:
        """Return the address of each connection that has ended or was admitted, once."""
        with self._lock:
            ended = {
                one: address
                for one, address in self._waiting.items()
                if (connection := one()) is None
                or connection.fileno() == -1
                or connection in admitted
            }
            for one in ended:
                del self._waiting[one]
        return list(ended.values())

    def verify_request(self, request: socket.socket, client_address: Any) -> bool:
        """Return whether a connection is within the limits."""
        address = client_address[0]
        if threading.active_count() >= self._max_threads and not self._close_one_waiting():
            reason = "too_many_connections"
        elif self._connections_of(address) >= self._max_per_peer:
            reason = "too_many_connections_of_peer"
        else:
            return True
        log.warning("connection_refused", peer=address, reason=reason)
        ASSOCIATIONS.labels(reason).inc()
        return False

    def _connections_of(self, address: str) -> int:
        addresses = [str(one.requestor.address) for one in self.active_associations]
        with self._lock:
            handshakes = list(self._handshakes.values())
        return addresses.count(address) + handshakes.count(address)

    def _close_one_waiting(self) -> bool:
        """Close a connection without an association; return whether a new one has a place.

        Its threads end within a second; until then, some more than ``_max_threads`` may run.
        """
        with self._lock:
            waiting: dict[Any, str] = dict(self._handshakes)
        for assoc in self.active_associations:  # in the order of their start
            if assoc.requestor.primitive is None and assoc not in self._closing:
                waiting[assoc] = str(assoc.requestor.address)
        chosen = oldest_of_busiest(waiting)
        if chosen is None or threading.active_count() >= self._max_threads + MAX_ENDING_THREADS:
            return False
        connection = chosen
        if not isinstance(chosen, socket.socket):
            self._closing.add(chosen)
            connection = getattr(chosen.dul.socket, "socket", None)
        if connection is not None:
            with suppress(OSError):
                # Not SSLSocket.shutdown, which would disturb the handshake's thread.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        return True

    def finish_request(self, request: socket.socket, client_address: Any) -> None:
        """Do the TLS handshake, then create the association, in the connection's thread."""
        if self.ssl_context is not None:
            try:
                request.settimeout(TLS_SECONDS)
                encrypted: ssl.SSLSocket = self.ssl_context.wrap_socket(
                    request, server_side=True, do_handshake_on_connect=False
                )
                self._replace(request, encrypted)
                request = encrypted
                with self._handshake(request, client_address[0]):
                    encrypted.do_handshake()
                request.settimeout(None)
            except OSError as error:
                log.warning("tls_failed", peer=client_address[0], error=_reason(error))
                ASSOCIATIONS.labels("tls_failed").inc()
                self.shutdown_request(request)
                return
        super().finish_request(request, client_address)

    def _replace(self, request: socket.socket, encrypted: ssl.SSLSocket) -> None:
        with self._lock:
            address = self._waiting.pop(ref(request), None)
            if address is not None:
                self._waiting[ref(encrypted)] = address

    @contextmanager
    def _handshake(self, request: socket.socket, address: str) -> Iterator[None]:
        """Count a connection during its handshake: it has no association yet."""
        with self._lock:
            self._handshakes[request] = address
        try:
            yield
        finally:
            with self._lock:
                del self._handshakes[request]


def _reason(error: OSError) -> str:
    """Return the ``reason`` of an ssl.SSLError; its text may repeat received bytes."""
    return getattr(error, "reason", None) or type(error).__name__
