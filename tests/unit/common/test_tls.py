"""What our TLS contexts require of the other's certificate, the same on every Python.

Covered: handshakes in memory between both of our contexts: authorities with and without the key
usage extension, an issuing authority trusted alone, certificates of another authority, expired,
of another host. Not covered: protocol versions and ciphers (tests/integration/test_tls.py),
revocation lists (not supported).
"""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from common.tls import Tls, client_context, server_context
from tests.support.certificates import EXPIRED, Authority, Identity

NOT_TRUSTED = r"unable to get local issuer|self-signed certificate in certificate chain"


def handshake(client: Tls, server: Tls, *, host: str = "localhost") -> None:
    """Both sides verify each other; raises ssl.SSLError of whichever refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client_context(client).wrap_bio(to_client, to_server, server_hostname=host),
        server_context(server, client_certificate=True).wrap_bio(
            to_server, to_client, server_side=True
        ),
    ]
    # In TLS 1.3 the client is done before the server has looked at its certificate.
    for side in sides * 3:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()


def tls_of(identity: Identity, trusted: Authority) -> Tls:
    return Tls(ca=trusted.ca, cert=identity.cert, key=identity.key)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def root(folder: Path) -> Authority:
    return Authority(folder / "root")


@pytest.fixture(scope="module")
def good(root: Authority) -> Identity:
    return root.issue("good")


@pytest.mark.parametrize("key_usage", [False, True])
def test_authority_needs_no_key_usage_extension(key_usage: bool, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca", key_usage=key_usage)
    ours, theirs = authority.issue("ours"), authority.issue("theirs")

    handshake(tls_of(ours, authority), tls_of(theirs, authority))


@pytest.mark.parametrize("key_usage", [False, True])
def test_issuing_authority_may_be_trusted_without_its_root(
    key_usage: bool, root: Authority, tmp_path: Path
) -> None:
    issuing = Authority(tmp_path / "issuing", key_usage=key_usage, parent=root)
    ours, theirs = issuing.issue("ours"), issuing.issue("theirs")

    handshake(tls_of(ours, issuing), tls_of(theirs, issuing))


def test_certificate_of_another_authority_is_refused_on_both_sides(
    root: Authority, good: Identity, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    foreign = other.issue("foreign")

    with pytest.raises(ssl.SSLCertVerificationError, match=NOT_TRUSTED):
        handshake(tls_of(good, root), tls_of(foreign, root))
    with pytest.raises(ssl.SSLCertVerificationError, match=NOT_TRUSTED):
        handshake(tls_of(foreign, root), tls_of(good, root))


def test_certificate_issued_beside_the_trusted_authority_is_refused(
    root: Authority, good: Identity, tmp_path: Path
) -> None:
    """Trust in one issuing authority is no trust in its root."""
    issuing = Authority(tmp_path / "issuing", parent=root)
    ours = issuing.issue("ours")

    with pytest.raises(ssl.SSLCertVerificationError, match=NOT_TRUSTED):
        handshake(tls_of(ours, issuing), tls_of(good, root))


def test_expired_certificate_is_refused_on_both_sides(root: Authority, good: Identity) -> None:
    expired = root.issue("expired", dates=EXPIRED)

    with pytest.raises(ssl.SSLCertVerificationError, match="has expired"):
        handshake(tls_of(good, root), tls_of(expired, root))
    with pytest.raises(ssl.SSLCertVerificationError, match="has expired"):
        handshake(tls_of(expired, root), tls_of(good, root))


def test_certificate_of_another_host_is_refused_by_the_client(
    root: Authority, good: Identity
) -> None:
    elsewhere = root.issue("elsewhere", names="subjectAltName=DNS:pacs.example.org")

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(tls_of(good, root), tls_of(elsewhere, root))
    handshake(tls_of(good, root), tls_of(elsewhere, root), host="pacs.example.org")
