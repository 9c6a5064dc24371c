"""Covered: STOW-RS on raw sockets: slow, silent and vanishing senders, invalid HTTP, limits of
connections, TLS.

Not covered: requests and their responses (test_stow.py).
"""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import requests

from common import http_server
from storescp.stow import server as stow_server
from tests.support.certificates import Authority
from tests.support.ct_factory import ct_instance
from tests.support.servers import wait_for
from tests.support.storage_scp import OpenStorageScp, StorageScpFixture
from tests.support.stow_request import FILE_TYPE, TOKEN, body_of, files, post, url

pytestmark = pytest.mark.servers


@contextmanager
def connected(scp: StorageScpFixture) -> Iterator[socket.socket]:
    address = ("127.0.0.1", scp.settings.stow_port)
    with socket.create_connection(address, timeout=20) as connection:
        yield connection


def head(length: int = 10_000, *more: str) -> bytes:
    lines = [
        "POST /studies HTTP/1.1",
        "Host: x",
        f"Content-Type: {FILE_TYPE}",
        f"Authorization: Bearer {TOKEN}",
        f"Content-Length: {length}",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def test_a_silent_sender_gets_a_timeout_and_leaves_nothing(open_stow: OpenStorageScp) -> None:
    scp = open_stow(stall_seconds=1)
    with connected(scp) as connection:
        connection.sendall(head() + body_of([bytes(128) + b"DICM"])[:100])
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert scp.files() == []
    assert scp.associations.count() == 0


def test_a_sender_below_the_minimum_rate_gets_a_timeout(open_stow: OpenStorageScp) -> None:
    scp = open_stow(stall_seconds=1, min_kb_per_second=4)
    answer = b""
    with connected(scp) as connection:
        connection.sendall(head())
        connection.settimeout(0.2)
        deadline = time.monotonic() + 10
        while not answer and time.monotonic() < deadline:
            connection.sendall(b"-")
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                continue

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_disconnects_leaves_nothing(
    open_stow: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_stow()
    body = body_of(files([ct_instance(size=512)], tmp_path))
    with connected(scp) as connection:
        connection.sendall(head(len(body)) + body[:300_000])
        wait_for(lambda: scp.associations.count(), "the request")

    wait_for(lambda: not scp.associations.count(), "the end of the request")
    wait_for(lambda: not scp.files(), "the spool to be empty")


def test_incomplete_headers_get_a_timeout(
    open_stow: OpenStorageScp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "HEADER_SECONDS", 1.0)
    scp = open_stow()
    with connected(scp) as silent, connected(scp) as slow, connected(scp) as large:
        slow.sendall(b"POST /studies HTTP/1.1\r\nHost: x\r\nX: ")
        large.sendall(b"POST /studies HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000)
        answers = [closed(connection) for connection in (silent, slow)]
        refused = large.recv(4096)

    assert answers == [b"", b""]
    assert refused.startswith(b"HTTP/1.1 400 ")


def closed(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096)
    except ConnectionResetError:
        return b""


def test_a_client_that_sends_expect_gets_the_refusal_before_its_body(
    open_stow: OpenStorageScp,
) -> None:
    scp = open_stow(stow_max_request_mb=1)
    with connected(scp) as connection:
        connection.sendall(head(10**8, "Expect: 100-continue"))
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_silent_connections_of_one_address_do_not_block_others(
    open_stow: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_stow(max_associations=1)
    most = (2 + stow_server.SPARE_CONNECTIONS) // 2
    body = body_of(files([ct_instance()], tmp_path))
    address = ("127.0.0.1", scp.settings.stow_port or 0)
    request = head(len(body)) + body

    with ExitStack() as stack:
        opened = [stack.enter_context(connected(scp)) for _ in range(most + 5)]
        # Which ones are refused depends on when the fixture's own connection ends.
        wait_for(lambda: sum(map(ended, opened)) >= 5, "five refusals")
        other = socket.create_connection(address, timeout=20, source_address=("127.0.0.2", 0))
        with other:
            other.sendall(request)
            answer = other.recv(4096)
        held = [connection for connection in opened if not ended(connection)]

    def has_capacity() -> bool:
        with suppress(requests.ConnectionError):
            return post(scp, body).status_code == 200
        return False

    wait_for(has_capacity, "capacity for this address")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(held) <= most  # the surplus is refused, or takes the place of an older one


def ended(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("path", ["/studies", "/nowhere", "/studies/"])
def test_a_body_that_stops_being_http_is_answered_once(
    path: str, open_stow: OpenStorageScp, caplog: pytest.LogCaptureFixture
) -> None:
    scp = open_stow()
    start = head(0, "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    start = start.replace(b"/studies", path.encode())
    with connected(scp) as early, connected(scp) as late:
        early.sendall(start + b"zz\r\n")
        late.sendall(start)
        time.sleep(0.2)  # until requests that need no body have been refused
        late.sendall(b"zz\r\n")
        answers = [all_of(early), all_of(late)]

    expected = b"400" if path == "/studies" else b"404"
    assert answers[0][9:12] in (b"400", expected)
    assert answers[1][9:12] == expected
    assert [answer.count(b"HTTP/1.1 ") for answer in answers] == [1, 1]
    wait_for(lambda: not scp.associations.count(), "the end of the requests")
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


def all_of(connection: socket.socket) -> bytes:
    answer = b""
    while part := closed(connection):
        answer += part
    return answer


def test_requests_and_associations_share_one_limit(
    open_stow: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_stow(max_associations=1)
    body = body_of(files([ct_instance()], tmp_path))
    with connected(scp) as connection:
        connection.sendall(head())
        wait_for(lambda: scp.associations.count(), "the request")
        refused = post(scp, body)

    assert refused.status_code == 503
    wait_for(lambda: not scp.associations.count(), "the end of the request")
    assert post(scp, body).status_code == 200


def test_only_the_tls_profile_of_the_settings_is_accepted(
    open_stow: OpenStorageScp, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    us = authority.issue("us")
    scp = open_stow(tls_cert=us.cert, tls_key=us.key)
    body = body_of(files([ct_instance()], tmp_path))
    headers = {"Content-Type": FILE_TYPE, "Authorization": f"Bearer {TOKEN}"}

    answer = requests.post(
        url(scp, scheme="https"), data=body, headers=headers, verify=authority.ca, timeout=30
    )

    assert answer.status_code == 200
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("AES128-SHA256")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with connected(scp) as connection, pytest.raises((ssl.SSLError, ConnectionError)):
        old.wrap_socket(connection)
