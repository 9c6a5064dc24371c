"""STOW-RS on its port: uvicorn in a thread of its own, by TLS where it is set."""

import asyncio
import socket
import ssl
import threading
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from db.telemetry import get_logger
from db.tls import server_context
from storescp.operation import Intake
from storescp.settings import StoreScpSettings
from storescp.stow.requests import make_app

HEADER_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 5
SPARE_CONNECTIONS = 128  # that have not asked for anything yet
SHUTDOWN_SECONDS = 8

log = get_logger(__name__)


def make_stow_server(settings: StoreScpSettings, intake: Intake) -> "StowServer | None":
    """None where no port is set; raises OSError when the TLS files cannot be used."""
    return None if settings.stow_port is None else StowServer(settings, intake)


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits for a request, but not for ever: uvicorn bounds silence between two
    requests only, and neither before the first nor within the headers of one.
    """

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._look()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer once: a request whose body turns out to be no HTTP may have been answered
        already, or be about to be; uvicorn would raise in the one place or the other.
        """
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        waits = self.cycle is None or self.cycle.response_complete
        if waits and self.loop.time() - self._waiting_since > HEADER_SECONDS:
            self.transport.abort()
            return
        self.loop.call_later(HEADER_SECONDS / 4, self._look)


class Threshold(socket.socket):
    """A listening socket that lets so many connections in, of all peers and of each: more of
    them, silent or in the handshake of TLS, would use up the descriptors that C-STORE needs.
    """

    def __init__(self, listening: socket.socket, *, limit: int, limit_per_peer: int) -> None:
        super().__init__(fileno=listening.detach())
        self._limit = limit
        self._limit_per_peer = limit_per_peer
        self._open: dict[socket.socket, str] = {}

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept; ConnectionAbortedError, which asyncio takes for a peer that has gone."""
        connection, address = super().accept()
        peer = str(address[0])
        self._open = {one: of for one, of in self._open.items() if one.fileno() >= 0}
        of_peer = sum(of == peer for of in self._open.values())
        if len(self._open) >= self._limit or of_peer >= self._limit_per_peer:
            connection.close()
            log.warning("connection_refused", peer=peer, reason="too many connections")
            raise ConnectionAbortedError
        self._open[connection] = peer
        return connection, address


class StowServer:
    """One per process; ``start`` raises OSError when the address cannot be used."""

    def __init__(self, settings: StoreScpSettings, intake: Intake) -> None:
        self.address = (settings.stow_host or settings.host, settings.stow_port or 0)
        self._socket: socket.socket | None = None
        self._limit = 2 * settings.max_associations + SPARE_CONNECTIONS
        tls = None
        if settings.tls_cert is not None:
            tls = server_context(
                settings.tls, client_certificate=settings.must_show_certificate
            )
        self._server = uvicorn.Server(_configure(settings, intake, tls))
        self._thread = threading.Thread(target=self._run, name="stow", daemon=True)

    def start(self) -> None:
        """Bind and serve in the background."""
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        self._socket = Threshold(
            socket.create_server(self.address, family=family, backlog=128),
            limit=self._limit,
            limit_per_peer=self._limit // 2,
        )
        self._thread.start()

    def stop(self) -> None:
        """Accept nobody any more, let requests finish for a while."""
        self._server.should_exit = True
        self._thread.join(2 * SHUTDOWN_SECONDS)

    def ask(self) -> str | None:
        """What a health probe wants to know: None while requests are accepted."""
        return None if self._thread.is_alive() else "no request is accepted"

    def _run(self) -> None:
        assert self._socket is not None  # noqa: S101 - for the type checker
        with self._socket, asyncio.Runner() as runner:
            runner.run(self._server.serve([self._socket]))


def _configure(
    settings: StoreScpSettings, intake: Intake, tls: ssl.SSLContext | None
) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(intake),
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,  # ours is set up already
        access_log=False,
        server_header=False,
        proxy_headers=False,  # anybody may write any address into X-Forwarded-For
        limit_concurrency=2 * settings.max_associations + SPARE_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
