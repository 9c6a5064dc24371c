"""Covered: searches by QIDO-RS of servers that limit their results, with and without a Warning
header, that ignore or refuse ``offset``, or that say there is more than they list.

Not covered: a real server (tests/integration/test_source_pacs.py).
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from common.dicomnet.address import DicomwebPeer
from common.tls import SYSTEM
from storescp.source_pacs.qido import search_all
from storescp.source_pacs.source import SourceUnavailable

KEY = "00080018"
UIDS = [f"1.2.{number}" for number in range(69)]


class Server(HTTPServer):
    """Lists ``UIDS``, at most ``limit`` of them at once."""

    limit = 1000
    warns = False
    knows_offset = True
    refuses_offset = False
    html = False
    requests = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.requests += 1
        offset = int(parse_qs(urlsplit(self.path).query).get("offset", ["0"])[0])
        if offset and server.refuses_offset:
            self.send_error(400)
            return
        first = offset if server.knows_offset else 0
        page = UIDS[first : first + server.limit]
        found = [{KEY: {"vr": "UI", "Value": [uid]}} for uid in page]
        self.send_response(200 if page else 204)
        if server.warns and first + len(page) < len(UIDS):
            self.send_header("Warning", "299 pacs: There are 12 additional results")
        body = b"<html>" if server.html else json.dumps(found).encode() if page else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Suppress the log."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def search(server: Server) -> list[str]:
    url = f"http://127.0.0.1:{server.server_port}"
    peer = DicomwebPeer.model_validate({"kind": "dicomweb", "url": url})
    found = search_all(peer, SYSTEM, "/instances", {}, KEY)
    return [one[KEY]["Value"][0] for one in found]


@pytest.mark.parametrize("warns", [True, False])
@pytest.mark.parametrize("limit", [1, 57, 68, 69, 1000])
def test_all_pages_are_read(server: Server, limit: int, warns: bool) -> None:
    server.limit, server.warns = limit, warns

    assert search(server) == UIDS


def test_a_server_that_ignores_the_offset_is_asked_twice(server: Server) -> None:
    server.knows_offset = False

    assert search(server) == UIDS
    assert server.requests == 2


def test_a_server_that_refuses_the_offset_has_listed_all(server: Server) -> None:
    server.refuses_offset = True

    assert search(server) == UIDS


def test_a_list_that_cannot_be_completed_is_no_count(server: Server) -> None:
    server.limit, server.warns, server.knows_offset = 57, True, False

    with pytest.raises(SourceUnavailable, match="lists 57 results and says there are more"):
        search(server)


def test_an_answer_that_is_no_list_is_no_count(server: Server) -> None:
    server.html = True

    with pytest.raises(SourceUnavailable, match="not understood"):
        search(server)
