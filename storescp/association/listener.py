"""Accepts connections: not too many, and by TLS where it is set."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pynetdicom.transport import ThreadedAssociationServer

from db.telemetry import ASSOCIATIONS, get_logger

TLS_SECONDS = 10.0
SPARE_THREADS = 128  # for connections without an association yet, and for our own
SPARE_CONNECTIONS = 24  # of one address; two threads each

log = get_logger(__name__)


class Listener(ThreadedAssociationServer):  # type: ignore[misc] # pynetdicom is untyped
    """The listening socket; every connection gets a thread of its own."""

    request_queue_size = 128  # pynetdicom's 5 makes a burst of associations wait for a second
    block_on_close = False  # a thread may be about to start, or shake hands for 10 s
    _max_threads = SPARE_THREADS
    _max_per_peer = SPARE_CONNECTIONS

    def limit_connections(self, associations: int, associations_per_peer: int) -> None:
        """Take so many associations, and some connections that have not asked for one yet.

        One address gets less than half of what those need, so that it cannot keep others out.
        """
        self._max_threads = 2 * associations + SPARE_THREADS
        self._max_per_peer = min(associations, associations_per_peer) + SPARE_CONNECTIONS

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self._handshakes: Counter[str] = Counter()
        self._lock = threading.Lock()
        super().__init__(*arguments, **keywords)

    def server_activate(self) -> None:
        """Not yet: a port that listens says that the service is ready."""

    def listen(self) -> None:
        """Let connections come; raises OSError when the port is taken."""
        self.socket.listen(self.request_queue_size)

    def take(self, request: socket.socket, client_address: Any) -> None:
        """Serve a connection that was accepted, here or in another process."""
        if self.verify_request(request, client_address):
            self.process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def verify_request(self, request: socket.socket, client_address: Any) -> bool:
        """Refuse connections that come in masses, before they ask for an association."""
        address = client_address[0]
        if threading.active_count() >= self._max_threads:
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
        return addresses.count(address) + self._handshakes[address]

    def finish_request(self, request: socket.socket, client_address: Any) -> None:
        """In a thread of the connection: speak TLS, then ask for the association."""
        if self.ssl_context is not None:
            try:
                with self._handshake(client_address[0]):
                    request.settimeout(TLS_SECONDS)
                    request = self.ssl_context.wrap_socket(request, server_side=True)
                    request.settimeout(None)
            except OSError as error:
                log.warning("tls_failed", peer=client_address[0], error=_reason(error))
                ASSOCIATIONS.labels("tls_failed").inc()
                self.shutdown_request(request)
                return
        super().finish_request(request, client_address)

    @contextmanager
    def _handshake(self, address: str) -> Iterator[None]:
        """There is no association yet, but the connection of one."""
        with self._lock:
            self._handshakes[address] += 1
        try:
            yield
        finally:
            with self._lock:
                self._handshakes[address] -= 1
                if not self._handshakes[address]:
                    del self._handshakes[address]


def _reason(error: OSError) -> str:
    """``reason`` of an ssl.SSLError is a name, its text may repeat what was sent."""
    return getattr(error, "reason", None) or type(error).__name__
