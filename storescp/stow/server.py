"""The HTTP server of STOW-RS: uvicorn in its own thread, with TLS where it is configured."""

import asyncio
import socket
import ssl
import threading

import uvicorn

from common.connection_limits import BACKLOG
from common.http_server import LimitedListener, TimeoutH11Protocol
from common.settings.storescp import StoreScpSettings
from common.tls import server_context
from storescp.store.store_operation import StorageService
from storescp.stow.app import make_app

KEEP_ALIVE_SECONDS = 5
SPARE_CONNECTIONS = 128  # for connections without a request
SHUTDOWN_SECONDS = 8


def make_stow_server(
    settings: StoreScpSettings, service: StorageService
) -> "StowServer | None":
    """Return the server, or None where no port is set; raises OSError for bad TLS files."""
    return None if settings.stow_port is None else StowServer(settings, service)


class StowServer:
    """One per process."""

    def __init__(self, settings: StoreScpSettings, service: StorageService) -> None:
        self.address = (settings.stow_host or settings.host, settings.stow_port or 0)
        self._socket: socket.socket | None = None
        self._limit = 2 * settings.max_associations + SPARE_CONNECTIONS
        tls = None
        if settings.tls_cert is not None:
            tls = server_context(
                settings.tls, client_certificate=settings.must_show_certificate
            )
        self._server = uvicorn.Server(_configure(settings, service, tls))
        self._thread = threading.Thread(target=self._run, name="stow", daemon=True)

    def start(self) -> None:
        """Bind and serve in the background; raises OSError when the address cannot be used."""
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        self._socket = LimitedListener(
            socket.create_server(self.address, family=family, backlog=BACKLOG),
            limit=self._limit,
            limit_per_peer=self._limit // 2,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting; wait for open requests up to ``SHUTDOWN_SECONDS``."""
        self._server.should_exit = True
        self._thread.join(2 * SHUTDOWN_SECONDS)

    def problem(self) -> str | None:
        """Return None while requests are accepted; for a health probe."""
        return None if self._thread.is_alive() else "no request is accepted"

    def _run(self) -> None:
        assert self._socket is not None  # noqa: S101 - for the type checker
        with self._socket, asyncio.Runner() as runner:
            runner.run(self._server.serve([self._socket]))


def _configure(
    settings: StoreScpSettings, service: StorageService, tls: ssl.SSLContext | None
) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(service),
        http=TimeoutH11Protocol,
        ws="none",
        lifespan="off",
        log_config=None,  # logging is configured already
        access_log=False,
        server_header=False,
        proxy_headers=False,  # any client may write X-Forwarded-For
        limit_concurrency=2 * settings.max_associations + SPARE_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
