"""STOW-RS on a real port: requests with faults in one part, or in any byte."""

import random
import socket
from contextlib import suppress
from pathlib import Path

from common.metrics import STOW_REQUESTS
from common.spool.part10 import read_header
from deploy.demo.embedded import free_port
from storescp.stow.server import StowServer
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import check_spool
from tests.support.ct_factory import ct_series, write_files
from tests.support.servers import listens, wait_for
from tests.support.storage_scp import StorageScpFixture

TOKEN = "open-sesame"  # noqa: S105
RELATED = b'multipart/related; type="application/dicom"'
GOOD = {
    b"Host": b"x",
    b"Authorization": f"Bearer {TOKEN}".encode(),
    b"Accept": b"application/dicom+json",
    b"Content-Type": RELATED + b"; boundary=b",
}
DOCUMENTED = {200, 202, 400, 401, 404, 405, 406, 408, 409, 413, 415, 503}
"""404 and 405 are for unknown paths and methods (docs/decisions/0014)."""
ANSWER_SECONDS = 0.1
FAULT_SHARE = 0.15  # of each part of a request, so that many requests reach their files

START_LINES = (
    b"GET /studies HTTP/1.1", b"PUT /studies HTTP/1.1", b"OPTIONS * HTTP/1.1", b"", b" ",
    b"post /studies HTTP/1.1", b"P\0ST /studies HTTP/1.1", b"POST /studies", b"POST  HTTP/1.1",
    b"POST /studies HTTP/1.0", b"POST /studies HTTP/2.0", b"PRI * HTTP/2.0", b"POST / HTTP/1.1",
    b"POST /studies/ HTTP/1.1", b"POST /studies/1.2.3 HTTP/1.1", b"POST /studies?x HTTP/1.1",
    b"POST /studies/../../etc HTTP/1.1", b"POST /studies/%2e%2e%2fx HTTP/1.1",
    b"POST /studies/1..2 HTTP/1.1", b"POST /studies/%00 HTTP/1.1", b"POST /studies/% HTTP/1.1",
    b"POST /studies/" + b"1" * 65 + b" HTTP/1.1", b"POST /" + b"a" * 90_000 + b" HTTP/1.1",
    b"POST http://x/studies HTTP/1.1", b"POST /studies/\xff HTTP/1.1", b"CONNECT x:1 HTTP/1.1",
)  # fmt: skip
FAULTS = {
    b"Authorization": (
        None, b"", b"Bearer", b"Bearer wrong", b"Basic open-sesame", b"Bearer open-sesame x",
        b"Bearer \xff\xe4", b"Bearer " + b"x" * 60_000,
    ),
    b"Accept": (
        None, b"text/html", b"", b"application/dicom+xml", b",,,;;;", b"*/*;q=x", b"\xff",
        b"a/b, " * 2000,
    ),
    b"Content-Type": (
        None, b"", b"multipart/related", RELATED, RELATED + b"; boundary=", b'x; type="',
        RELATED + b"; boundary=other", RELATED + b'; boundary="' + b"b" * 300 + b'"',
        RELATED + b'; boundary="b\\', RELATED + b"; boundary*=utf-9''%ff", b"application/dicom",
        RELATED + b"; boundary=b; boundary=c", RELATED + b"; boundary=\xff\xfe",
        b"multipart/related; type=application/dicom+json; boundary=b",
        b"multipart/form-data; boundary=b",
    ),
    b"Host": (None, b"", b"a b", b"x\r\nHost: y"),
}  # fmt: skip
EXTRAS = (
    b"X: " + b"x" * 70_000, b"X: 1\r\n" * 300 + b"X: 1", b"Expect: 100-continue", b"Expect: x",
    b"Connection: close", b"Connection: Upgrade\r\nUpgrade: websocket", b"X: \0", b" folded: x",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA", b"no colon",
    b"Content-Encoding: gzip", b"Name : x", b"X-Forwarded-For: 10.0.0.1", b"\xff: x",
)  # fmt: skip
LENGTHS = (
    b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: +5", b"Content-Length: 1e3",
    b"Content-Length: 5, 5", b"Content-Length: " + b"9" * 20, b"Content-Length: \xd9\xa3", b"",
    b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: 700000000", b"Content-Length:",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked, chunked",
)  # fmt: skip


class Requests:
    """Requests to STOW-RS in this process, each on its own connection."""

    name = "requests"

    def __init__(self, folder: Path) -> None:
        self._scp = scp = StorageScpFixture(
            folder / "spool",
            stow_port=free_port(),
            stow_token=TOKEN,
            stow_max_request_mb=1,
            stall_seconds=1,
        )
        self._address = ("127.0.0.1", scp.settings.stow_port)
        self._server = StowServer(scp.settings, scp.service)
        self._server.start()
        wait_for(lambda: listens(scp.settings.stow_port or 0), "STOW-RS")
        head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
        paths = write_files(ct_series(2, size=4), folder / "in")
        parts = [head + path.read_bytes() + b"\r\n" for path in paths]
        self._bodies = [b"".join(parts) + b"--b--\r\n", parts[0] + b"--b--\r\n"]
        self._whole = _request(GOOD, self._bodies[0])

    def feed(self, rng: random.Random) -> None:
        data = (
            mutate(rng, [self._whole])
            if rng.random() < 0.2
            else _with_faults(rng, self._bodies)
        )
        for status in self._send(data, rng.choice((0, *[ANSWER_SECONDS] * 9))):
            assert status in DOCUMENTED, f"answered {status}"

    def _send(self, data: bytes, seconds: float) -> list[int]:
        """Return the statuses until ``seconds`` of silence; 0: close immediately."""
        answer = b""
        with (
            socket.create_connection(self._address, timeout=20) as connection,
            # A server may close after a refusal, or wait for the rest of the body.
            suppress(ConnectionError, TimeoutError),
        ):
            connection.sendall(data)
            connection.settimeout(seconds or None)
            while seconds and (part := connection.recv(65_536)):
                answer += part
        lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        return [int(line[9:12]) for line in lines if line[9:12] != b"100"]

    def end(self) -> None:
        scp = self._scp
        try:
            wait_for(lambda: not scp.associations.count(), "all requests to end")
            check_spool(scp.settings.spool_dir)
            for path in scp.files():
                read_header(path)
            assert self._send(self._whole, 20) == [200], "no request is served any more"
            # Including the responses whose clients had closed.
            answered = {
                sample.labels["status"]
                for metric in STOW_REQUESTS.collect()
                for sample in metric.samples
            }
            assert answered <= set(map(str, DOCUMENTED)), answered
        finally:
            self._server.stop()


def _request(
    headers: dict[bytes, bytes],
    body: bytes,
    start_line: bytes = b"POST /studies HTTP/1.1",
    length: bytes | None = None,
    extra: bytes = b"Connection: close",
) -> bytes:
    lines = [start_line, *(b": ".join(one) for one in headers.items()), extra]
    lines.append(b"Content-Length: %d" % len(body) if length is None else length)
    return b"\r\n".join(line for line in lines if line) + b"\r\n\r\n" + body


def _with_faults(rng: random.Random, bodies: list[bytes]) -> bytes:
    """Return a request with possible faults in each part."""
    headers = dict(GOOD)
    for name, faults in FAULTS.items():
        if rng.random() < FAULT_SHARE:
            wrong = rng.choice(faults)
            headers.pop(name)
            headers |= {} if wrong is None else {name: wrong}
    body = mutate(rng, bodies) if rng.random() < 0.6 else rng.choice(bodies)
    length = None
    if rng.random() < 0.3:
        length, body = b"Transfer-Encoding: chunked", _chunked(rng, body)
    elif rng.random() < FAULT_SHARE:
        length = rng.choice(LENGTHS)
    return _request(
        headers,
        body,
        rng.choice(START_LINES) if rng.random() < FAULT_SHARE else b"POST /studies HTTP/1.1",
        length,
        rng.choice(EXTRAS) if rng.random() < 2 * FAULT_SHARE else b"",
    )


def _chunked(rng: random.Random, body: bytes) -> bytes:
    """Encode a body in chunks; half of the bodies with a fault, often in a chunk size."""
    size = rng.choice((7, 100, 4096))
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    coded = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"
    if rng.random() < 0.5:
        return coded
    wrong = rng.choice((b"-1", b"zz", b"f" * 17, b"5;" + b"x" * 9000, b"0x5", b"", b"\0"))
    return mutate(rng, [wrong + b"\r\n" + coded, coded])
