"""A small HTTP server that answers STOW-RS as it is told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from common.settings.worker import DicomwebDestination


@dataclass(frozen=True)
class HttpAnswer:
    """Answer to a POST; ``raw`` : bytes that are sent instead of a response of HTTP."""

    status: int = 200
    media_type: str = "application/dicom+json"
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None


class StowServer(ThreadingHTTPServer):
    """Answers each POST with ``answer``, each GET with 404; keeps the requests."""

    answer: HttpAnswer
    bodies: list[bytes]
    tokens: list[str | None]

    def destination(self, **more: str) -> DicomwebDestination:
        """Return this server as a destination; ``more`` : further keys of the setting."""
        url = f"http://127.0.0.1:{self.server_port}/dicom-web"
        return DicomwebDestination.model_validate(
            {"kind": "dicomweb", "name": "archive", "url": url, **more}
        )


class _Handler(BaseHTTPRequestHandler):
    server: StowServer

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.tokens.append(self.headers["Authorization"])
        answer = self.server.answer
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            return
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Suppress the log."""


@contextmanager
def running_stow_server() -> Iterator[StowServer]:
    """Run the server in a thread; its answer is 200 without a body until it is set."""
    with StowServer(("127.0.0.1", 0), _Handler) as server:
        server.answer, server.bodies, server.tokens = HttpAnswer(), [], []
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
