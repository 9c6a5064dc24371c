"""Covered: the causes of a failed connection that ``doctor`` and deliveries name: certificates,
host names, closed ports, files of the settings; by a plain socket and by requests.

Not covered: routers and firewalls that drop packets.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from common.dicomnet.address import DicomwebPeer
from common.dicomnet.connection_errors import (
    describe_connection,
    is_before_request,
    probe_connection,
)
from common.dicomnet.dicomweb import open_session
from common.tls import SYSTEM, Tls, client_context, server_context
from deploy.demo.embedded import free_port
from tests.support.certificates import EXPIRED, Authority, Identity


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "ca")


@contextmanager
def tls_server(identity: Identity, *, trusts: Path | None = None) -> Iterator[int]:
    """Accept connections by TLS; ``trusts`` : requires a certificate of this CA."""
    tls = Tls(ca=trusts, cert=identity.cert, key=identity.key)
    context = server_context(tls, client_certificate=trusts is not None)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with (
                        connection,
                        suppress(OSError),
                        context.wrap_socket(connection, server_side=True) as secure,
                    ):
                        secure.recv(1)

        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def causes(host: str, port: int, tls: Tls) -> set[str | None]:
    """Return the cause by a plain socket and by requests."""
    peer = DicomwebPeer.model_validate({"kind": "dicomweb", "url": f"https://{host}:{port}/"})
    found = {probe_connection(host, port, client_context(tls))}
    with pytest.raises(OSError) as raised, open_session(peer, tls) as session:  # noqa: PT011
        session.get(peer.root, timeout=10)
    assert is_before_request(raised.value)
    return found | {describe_connection(raised.value)}


def test_a_certificate_of_an_unknown_authority_is_named(authority: Authority) -> None:
    with tls_server(authority.issue("pacs")) as port:
        (cause,) = causes("localhost", port, SYSTEM)

    assert cause == "the certificate of the server is not trusted: its issuer is unknown"


def test_a_self_signed_certificate_is_named(authority: Authority) -> None:
    identity = Identity(authority.ca, authority.ca.with_name("ca.key"))
    with tls_server(identity) as port:
        (cause,) = causes("localhost", port, SYSTEM)

    assert cause == "the certificate of the server is not trusted: it is self-signed"


def test_an_expired_certificate_is_named(authority: Authority) -> None:
    with tls_server(authority.issue("old", dates=EXPIRED)) as port:
        (cause,) = causes("localhost", port, Tls(authority.ca))

    assert cause == "the certificate of the server has expired"


def test_a_certificate_of_another_host_is_named(authority: Authority) -> None:
    with tls_server(authority.issue("other", names="subjectAltName=DNS:other")) as port:
        (cause,) = causes("localhost", port, Tls(authority.ca))

    assert cause == "the certificate of the server is for another host name"


def test_a_server_that_refuses_our_certificate_is_named(authority: Authority) -> None:
    with tls_server(authority.issue("strict"), trusts=authority.ca) as port:
        cause = probe_connection("localhost", port, client_context(Tls(authority.ca)))

    assert cause is not None
    assert cause.startswith("TLS failed")


def test_a_good_connection_has_no_cause(authority: Authority) -> None:
    with tls_server(authority.issue("good")) as port:
        assert probe_connection("localhost", port, client_context(Tls(authority.ca))) is None


def test_a_closed_port_and_an_unknown_host_are_named() -> None:
    assert causes("127.0.0.1", free_port(), SYSTEM) == {
        "the connection is refused: nothing listens at this host and port"
    }
    assert causes("nosuchhost.invalid", 104, SYSTEM) == {"the host name is unknown"}


@pytest.mark.parametrize(
    "which", ["key missing", "key of another", "key is text", "cert", "ca"]
)
def test_the_file_that_cannot_be_used_is_named(
    authority: Authority, tmp_path: Path, which: str
) -> None:
    ours, other = authority.issue("ours"), authority.issue("another")
    text = tmp_path / "text.pem"
    text.write_text("text")
    tls, bad = {
        "key missing": (Tls(authority.ca, ours.cert, tmp_path / "no.key"), tmp_path / "no.key"),
        "key of another": (Tls(authority.ca, ours.cert, other.key), other.key),
        "key is text": (Tls(authority.ca, ours.cert, text), text),
        "cert": (Tls(authority.ca, text, ours.key), text),
        "ca": (Tls(text, ours.cert, ours.key), text),
    }[which]

    for make in (client_context, _server_context):
        with pytest.raises(OSError) as raised:  # noqa: PT011 - the file is checked below
            make(tls)
        assert raised.value.filename in (bad, str(bad))
        assert str(bad) in describe_connection(raised.value)


def _server_context(tls: Tls) -> ssl.SSLContext:
    return server_context(tls, client_certificate=True)
