"""TLS of the Storage SCP with dcmtk.

Covered: valid, missing and foreign certificates; old versions and ciphers.
Not covered: delivery (test_delivery_tls.py), revocation lists, expired certificates.
"""

import socket
import ssl
import time
import warnings
from pathlib import Path

import pytest
from pydicom import Dataset

from common.spool.part10 import read_header
from common.tls import Tls, client_context
from tests.support.certificates import Authority, Identity
from tests.support.ct_factory import ct_series, encode, write_files
from tests.support.servers import storescu, wait_for
from tests.support.storage_scp import OpenStorageScp, StorageScpFixture

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def modality(authority: Authority) -> Identity:
    return authority.issue("modality")


def open_tls(
    open_storage_scp: OpenStorageScp, authority: Authority, ours: Identity, **more: object
) -> StorageScpFixture:
    files = {"tls_cert": ours.cert, "tls_key": ours.key, "tls_ca": authority.ca}
    return open_storage_scp(**files, **more)


def send(scp: StorageScpFixture, instances: list[Dataset], folder: Path, *options: str) -> bool:
    """Send by storescu of dcmtk; return whether all instances were accepted."""
    paths = write_files(instances, folder)
    return storescu(paths, scp.port, options=["-R", *options]).returncode == 0


def tls_options(identity: Identity, authority: Authority) -> tuple[str, ...]:
    """Return the options of storescu: own certificate and trusted authority."""
    return ("+tls", str(identity.key), str(identity.cert), "+cf", str(authority.ca))


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
@pytest.mark.covers("T4")
def test_dcmtk_sends_by_every_bcp_195_profile(
    profile: str,
    open_storage_scp: OpenStorageScp,
    authority: Authority,
    ours: Identity,
    modality: Identity,
    tmp_path: Path,
) -> None:
    scp = open_tls(open_storage_scp, authority, ours)
    instances = ct_series(6, size=300)

    assert send(scp, instances, tmp_path / "in", profile, *tls_options(modality, authority))

    assert scp.files() == sorted(scp.path_of(ds) for ds in instances)
    for ds in instances:
        path = scp.path_of(ds)
        assert path.read_bytes()[read_header(path).data_set_offset :] == encode(ds)


@pytest.mark.covers("T1")
def test_who_has_no_certificate_of_our_authority_is_refused(
    open_storage_scp: OpenStorageScp,
    authority: Authority,
    other_authority: Authority,
    ours: Identity,
    modality: Identity,
    tmp_path: Path,
) -> None:
    scp = open_tls(open_storage_scp, authority, ours)
    instances = ct_series(1)

    assert not send(scp, instances, tmp_path / "plain")
    assert not send(scp, instances, tmp_path / "anon", "+tla", "+cf", str(authority.ca))
    foreign = other_authority.issue("modality")
    assert not send(scp, instances, tmp_path / "foreign", *tls_options(foreign, authority))
    assert scp.files() == []
    assert send(scp, instances, tmp_path / "good", *tls_options(modality, authority))


def test_a_certificate_of_the_sender_can_be_waived(
    open_storage_scp: OpenStorageScp, authority: Authority, ours: Identity, tmp_path: Path
) -> None:
    scp = open_tls(open_storage_scp, authority, ours, tls_client_certificate=False)

    assert send(scp, ct_series(2), tmp_path / "in", "+tla", "+cf", str(authority.ca))

    assert len(scp.files()) == 2


def test_a_sender_that_does_not_trust_us_sends_nothing(
    open_storage_scp: OpenStorageScp,
    authority: Authority,
    other_authority: Authority,
    ours: Identity,
    modality: Identity,
    tmp_path: Path,
) -> None:
    scp = open_tls(open_storage_scp, authority, ours)

    assert not send(scp, ct_series(1), tmp_path / "in", *tls_options(modality, other_authority))

    assert scp.files() == []


@pytest.mark.parametrize(
    "ciphers", ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES256-SHA"]
)
@pytest.mark.covers("T4")
def test_tls_1_2_without_forward_secrecy_or_authenticated_encryption_is_refused(
    ciphers: str, open_storage_scp: OpenStorageScp, authority: Authority, ours: Identity
) -> None:
    scp = open_tls(open_storage_scp, authority, ours, tls_client_certificate=False)
    context = ssl.create_default_context(cafile=authority.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)

    with (
        socket.create_connection(("127.0.0.1", scp.port), timeout=10) as connection,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(connection, server_hostname="127.0.0.1")


def test_tls_1_1_is_refused_and_1_3_is_preferred(
    open_storage_scp: OpenStorageScp, authority: Authority, ours: Identity
) -> None:
    scp = open_tls(open_storage_scp, authority, ours, tls_client_certificate=False)
    old = ssl.create_default_context(cafile=authority.ca)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1

    with (
        socket.create_connection(("127.0.0.1", scp.port), timeout=10) as connection,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(connection, server_hostname="127.0.0.1")
    with (
        socket.create_connection(("127.0.0.1", scp.port), timeout=10) as connection,
        client_context(Tls(authority.ca)).wrap_socket(
            connection, server_hostname="127.0.0.1"
        ) as negotiated,
    ):
        assert negotiated.version() == "TLSv1.3"


def test_a_peer_that_stalls_the_handshake_does_not_delay_others(
    open_storage_scp: OpenStorageScp,
    authority: Authority,
    ours: Identity,
    modality: Identity,
    tmp_path: Path,
) -> None:
    scp = open_tls(open_storage_scp, authority, ours)
    instances = ct_series(1)

    with socket.create_connection(("127.0.0.1", scp.port)):
        started = time.monotonic()
        assert send(scp, instances, tmp_path / "in", *tls_options(modality, authority))
        assert time.monotonic() - started < 8
    wait_for(lambda: scp.associations.count() == 0, "the end")
