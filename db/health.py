"""``/metrics``, ``/health/live`` and ``/health/ready`` of a process, on one port.

Live means that the process itself works, and is asked by whoever would start it again; ready
means that it can do its work now, and is asked by whoever sends it some.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from sqlalchemy import Engine

from db.migrate import SchemaNotCurrent, require_current_schema
from db.spool import SpoolWriter, free_bytes
from db.telemetry import REGISTRY

# A round may wait for the database more than once, whose statements may take a minute.
STALE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to a part of a process.

    ``ask`` : answers None, or in a few words what is wrong; may raise. ``live`` : starting the
    process again is the remedy. ``vital`` : without it there is no work; else it is only told.
    """

    name: str
    ask: Callable[[], str | None]
    live: bool = False
    vital: bool = True


def answer(probes: Iterable[Probe], *, live_only: bool) -> tuple[HTTPStatus, bytes]:
    """Ask the probes: 200, or 503 where a vital one fails, and what each says, as JSON."""
    checks, healthy = {}, True
    for probe in probes:
        if live_only and not probe.live:
            continue
        wrong = _ask(probe)
        checks[probe.name] = wrong or "ok"
        healthy = healthy and (wrong is None or not probe.vital)
    status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
    return status, json.dumps({"healthy": healthy, "checks": checks}).encode()


class Rounds:
    """When a thread that goes round last came round."""

    def __init__(self, name: str, *, pause_seconds: float) -> None:
        self._name = name
        self._stale_seconds = STALE_SECONDS + 2 * pause_seconds
        self._at = time.monotonic()

    def count(self) -> None:
        """Another round begins."""
        self._at = time.monotonic()

    def probe(self) -> Probe:
        """Whether the thread still comes round: one that has ended does not."""
        return Probe(self._name, self._ask, live=True)

    def _ask(self) -> str | None:
        seconds = time.monotonic() - self._at
        return None if seconds < self._stale_seconds else f"no round for {seconds:.0f} s"


def database_probe(engine: Engine, *, vital: bool) -> Probe:
    """Whether PostgreSQL answers, with this version's tables."""

    def ask() -> str | None:
        try:
            require_current_schema(engine)
        except SchemaNotCurrent as error:
            return str(error)
        return None

    return Probe("database", ask, vital=vital)


def spool_probe(writer: SpoolWriter, *, min_free_mb: int = 0) -> Probe:
    """Whether a file can be written to the spool and there is room for more."""

    def ask() -> str | None:
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
        return None if free_mb >= min_free_mb else f"{free_mb} MB free, {min_free_mb} wanted"

    return Probe("spool", ask)


def serve(
    port: int | None, probes: Sequence[Probe], registry: CollectorRegistry = REGISTRY
) -> None:
    """Answer on ``port`` from threads of its own; nothing when it is None."""
    if port is None:
        return
    # Prometheus and the orchestrator are on other machines.
    server = make_server("", port, _app(probes, registry), _Server, _Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()


def _app(probes: Sequence[Probe], registry: CollectorRegistry) -> Any:
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"].rstrip("/")
        if path not in ("/health/live", "/health/ready"):
            return metrics(environ, start_response)
        status, body = answer(probes, live_only=path.endswith("live"))
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    return app


def _ask(probe: Probe) -> str | None:
    try:
        return probe.ask()
    except Exception as error:
        # The error's name only: its text may repeat addresses and passwords.
        return type(error).__name__


class _Server(ThreadingMixIn, WSGIServer):
    """One thread a request: a probe that waits must not hold up the metrics."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Without a line to stderr a request, and not for a client that says nothing."""

    timeout = 10.0

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
