"""HTTP endpoints ``/metrics``, ``/health/live`` and ``/health/ready`` of a process.

*Live* means that the process itself works; a supervisor restarts a process that is not live.
*Ready* means that the process can do its work now; a load balancer sends work only to a process
that is ready.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from common.connection_limits import BACKLOG, oldest_of_busiest
from common.metrics import REGISTRY
from common.spool.disk_space import free_bytes
from common.spool.writer import SpoolWriter

# One iteration may wait for several database statements, each of up to a minute.
STALE_SECONDS = 300.0
REQUEST_SECONDS = 10.0  # for a whole connection
MAX_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Probe:
    """A health check of one part of a process.

    Attributes
    ----------
    check
        Returns None, or a few words on the problem. May raise.
    live
        A restart of the process is the remedy; the check belongs to ``/health/live`` too.
    vital
        A failure makes the process unhealthy; otherwise it is only reported.
    """

    name: str
    check: Callable[[], str | None]
    live: bool = False
    vital: bool = True


def run_probes(probes: Iterable[Probe], *, live_only: bool) -> tuple[HTTPStatus, bytes]:
    """Run the probes and return the HTTP status and a JSON body with the result of each.

    The status is 503 when a vital probe fails, otherwise 200.
    """
    checks, healthy = {}, True
    for probe in probes:
        if live_only and not probe.live:
            continue
        problem = _run(probe)
        checks[probe.name] = problem or "ok"
        healthy = healthy and (problem is None or not probe.vital)
    status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
    return status, json.dumps({"healthy": healthy, "checks": checks}).encode()


class LoopProbe:
    """Health of a thread that runs a loop: fails when iterations stop."""

    def __init__(self, name: str, *, pause_seconds: float) -> None:
        self._name = name
        self._stale_seconds = STALE_SECONDS + 2 * pause_seconds
        self._at = time.monotonic()

    def beat(self) -> None:
        """Record the start of an iteration."""
        self._at = time.monotonic()

    def probe(self) -> Probe:
        """Return a probe that fails when the last iteration began too long ago."""
        return Probe(self._name, self._check, live=True)

    def _check(self) -> str | None:
        seconds = time.monotonic() - self._at
        return None if seconds < self._stale_seconds else f"no round for {seconds:.0f} s"


def spool_probe(writer: SpoolWriter, *, min_free_mb: int = 0) -> Probe:
    """Return a probe that writes a file to the spool and checks the free disk space."""

    def check() -> str | None:
        try:
            file = writer.open()
            try:
                file.write(b"probe")
                file.flush()
            finally:
                file.discard()
            free_mb = free_bytes(writer.spool_dir) // 2**20
        except OSError as error:
            return error.strerror or type(error).__name__
        return (
            None
            if free_mb >= min_free_mb
            else f"{free_mb} MB free, at least {min_free_mb} required"
        )

    return Probe("spool", check)


def serve(
    port: int | None, probes: Sequence[Probe], registry: CollectorRegistry | None = REGISTRY
) -> None:
    """Serve metrics and probes on ``port`` in background threads; do nothing if it is None.

    ``registry`` : None for the probes alone.
    """
    if port is None:
        return
    # All interfaces: Prometheus and the orchestrator are on other machines.
    server = make_server("", port, _app(probes, registry), _Server, _RequestHandler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()


def _app(probes: Sequence[Probe], registry: CollectorRegistry | None) -> Any:
    other_pages = _not_found if registry is None else make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"].rstrip("/")
        if path not in ("/health/live", "/health/ready"):
            return other_pages(environ, start_response)
        status, body = run_probes(probes, live_only=path.endswith("live"))
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    return app


def _not_found(_: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"only /health/live and /health/ready\n"]


def _run(probe: Probe) -> str | None:
    try:
        return probe.check()
    except Exception as error:
        # Only the class name: the message may contain addresses and passwords.
        return type(error).__name__


class _Server(ThreadingMixIn, WSGIServer):
    """One thread per request: a slow probe must not delay the metrics.

    A connection ends after ``REQUEST_SECONDS``. Above ``MAX_CONNECTIONS``, each new one closes
    the oldest of the address that has the most, so that the probes are answered during a flood.
    """

    daemon_threads = True
    request_queue_size = BACKLOG

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self._lock = threading.Lock()
        self._open: dict[socket.socket, str] = {}  # oldest first
        self._ends_at: dict[socket.socket, float] = {}
        super().__init__(*arguments, **keywords)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        with self._lock:
            if len(self._open) >= MAX_CONNECTIONS:
                self._end(oldest_of_busiest(self._open))
            self._open[request] = str(client_address[0])
            self._ends_at[request] = time.monotonic() + REQUEST_SECONDS
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._forget(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End connections that have taken too long; called twice a second."""
        now = time.monotonic()
        with self._lock:
            for request in [one for one, at in self._ends_at.items() if at < now]:
                self._end(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do nothing: the client has gone, or its connection was ended."""

    def _end(self, request: socket.socket | None) -> None:
        """End the wait of a connection's thread, which then closes the connection."""
        if request is None:
            return
        self._forget(request)
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def _forget(self, request: socket.socket) -> None:
        self._open.pop(request, None)
        self._ends_at.pop(request, None)


class _RequestHandler(WSGIRequestHandler):
    """Request handler without an access log and with a timeout for idle clients."""

    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Do nothing."""
