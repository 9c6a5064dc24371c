"""Covered: TLS of the Storage SCP with dcmtk as the modality, and of delivery to Orthanc by
C-STORE and STOW-RS, with certificates made here: good, missing, of strangers; old ciphers.

Not covered: revocation lists, certificates that have expired.
"""

import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from db.tls import Tls, client_context
from deploy.embedded import free_port
from storescp.part10 import read_header
from tests.certificates import Authority, Identity
from tests.ct_factory import ct_series, encode, write_files
from tests.integration.door import Door, OpenDoor
from tests.integration.test_delivery import SecondaryCaptureImageStorage, write_object
from tests.servers import Orthanc, running_orthanc, storescu, wait_for
from tests.tls_proxy import tls_proxy
from worker.dicomweb import search_qido_rs, store_stow_rs
from worker.dimse import probe, send_c_store
from worker.outcomes import Accepted, Outcome, Unreachable
from worker.settings import DicomwebDestination, DimseDestination

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "theirs")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Identity:
    return authority.issue("osteoscreen")


@pytest.fixture(scope="module")
def modality(authority: Authority) -> Identity:
    return authority.issue("modality")


def open_tls(open_door: OpenDoor, authority: Authority, ours: Identity, **more: object) -> Door:
    files = {"tls_cert": ours.cert, "tls_key": ours.key, "tls_ca": authority.ca}
    return open_door(**files, **more)


def send(door: Door, instances: list[Dataset], folder: Path, *options: str) -> bool:
    """Whether dcmtk's storescu could send all."""
    paths = write_files(instances, folder)
    return storescu(paths, door.port, options=["-R", *options]).returncode == 0


def by(identity: Identity, authority: Authority) -> tuple[str, ...]:
    """storescu's options: TLS with this certificate, trusting this authority."""
    return ("+tls", str(identity.key), str(identity.cert), "+cf", str(authority.ca))


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_dcmtk_sends_by_every_bcp_195_profile(
    profile: str,
    open_door: OpenDoor,
    authority: Authority,
    ours: Identity,
    modality: Identity,
    tmp_path: Path,
) -> None:
    door = open_tls(open_door, authority, ours)
    instances = ct_series(6, size=300)

    assert send(door, instances, tmp_path / "in", profile, *by(modality, authority))

    assert door.files() == sorted(door.path_of(ds) for ds in instances)
    for ds in instances:
        path = door.path_of(ds)
        assert path.read_bytes()[read_header(path).data_set_offset :] == encode(ds)


def test_who_has_no_certificate_of_our_authority_is_refused(
    open_door: OpenDoor,
    authority: Authority,
    stranger: Authority,
    ours: Identity,
    modality: Identity,
    tmp_path: Path,
) -> None:
    door = open_tls(open_door, authority, ours)
    instances = ct_series(1)

    assert not send(door, instances, tmp_path / "plain")
    assert not send(door, instances, tmp_path / "anon", "+tla", "+cf", str(authority.ca))
    foreign = stranger.issue("modality")
    assert not send(door, instances, tmp_path / "foreign", *by(foreign, authority))
    assert door.files() == []
    assert send(door, instances, tmp_path / "good", *by(modality, authority))


def test_a_certificate_of_the_sender_can_be_waived(
    open_door: OpenDoor, authority: Authority, ours: Identity, tmp_path: Path
) -> None:
    door = open_tls(open_door, authority, ours, tls_client_certificate=False)

    assert send(door, ct_series(2), tmp_path / "in", "+tla", "+cf", str(authority.ca))

    assert len(door.files()) == 2


def test_a_sender_that_does_not_trust_us_sends_nothing(
    open_door: OpenDoor,
    authority: Authority,
    stranger: Authority,
    ours: Identity,
    modality: Identity,
    tmp_path: Path,
) -> None:
    door = open_tls(open_door, authority, ours)

    assert not send(door, ct_series(1), tmp_path / "in", *by(modality, stranger))

    assert door.files() == []


@pytest.mark.parametrize(
    "ciphers", ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES256-SHA"]
)
def test_tls_1_2_without_forward_secrecy_or_authenticated_encryption_is_refused(
    ciphers: str, open_door: OpenDoor, authority: Authority, ours: Identity
) -> None:
    door = open_tls(open_door, authority, ours, tls_client_certificate=False)
    context = ssl.create_default_context(cafile=authority.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)

    with (
        socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(connection, server_hostname="127.0.0.1")


def test_tls_1_1_is_refused_and_1_3_is_preferred(
    open_door: OpenDoor, authority: Authority, ours: Identity
) -> None:
    door = open_tls(open_door, authority, ours, tls_client_certificate=False)
    old = ssl.create_default_context(cafile=authority.ca)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1

    with (
        socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(connection, server_hostname="127.0.0.1")
    with (
        socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection,
        client_context(Tls(authority.ca)).wrap_socket(
            connection, server_hostname="127.0.0.1"
        ) as spoken,
    ):
        assert spoken.version() == "TLSv1.3"


def test_a_peer_that_is_silent_in_the_handshake_holds_up_nobody(
    open_door: OpenDoor,
    authority: Authority,
    ours: Identity,
    modality: Identity,
    tmp_path: Path,
) -> None:
    door = open_tls(open_door, authority, ours)
    instances = ct_series(1)

    with socket.create_connection(("127.0.0.1", door.port)):
        started = time.monotonic()
        assert send(door, instances, tmp_path / "in", *by(modality, authority))
        assert time.monotonic() - started < 8
    wait_for(lambda: door.arrivals.open_associations() == 0, "the end")


@pytest.fixture(scope="module")
def pacs(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Orthanc that speaks TLS only, and asks senders by DIMSE for a certificate."""
    identity = authority.issue("pacs")
    with running_orthanc(
        tmp_path_factory.mktemp("orthanc"),
        DicomTlsEnabled=True,
        DicomTlsCertificate=str(identity.cert),
        DicomTlsPrivateKey=str(identity.key),
        DicomTlsTrustedCertificates=str(authority.ca),
    ) as server:
        yield server


def echo(destination: DimseDestination, tls: Tls) -> Outcome:
    return probe(destination, [], ae_title="OSTEOSCREEN", tls=tls).outcome


def by_dimse(pacs: Orthanc) -> DimseDestination:
    return DimseDestination.model_validate({**pacs.dimse_destination(), "tls": True})


@pytest.fixture(scope="module")
def web(pacs: Orthanc, authority: Authority) -> Iterator[DicomwebDestination]:
    """The same Orthanc's DICOMweb services by HTTPS."""
    with tls_proxy(pacs.http_port, authority.issue("web")) as port:
        yield DicomwebDestination.model_validate(
            {
                **pacs.dicomweb_destination(),
                "url": pacs.dicomweb_url.replace("http:", "https:").replace(
                    str(pacs.http_port), str(port)
                ),
            }
        )


def test_objects_are_delivered_by_dimse_over_tls(
    pacs: Orthanc, authority: Authority, ours: Identity, tmp_path: Path
) -> None:
    path = write_object(tmp_path, SecondaryCaptureImageStorage, "1.2.3.4")
    tls = Tls(authority.ca, ours.cert, ours.key)

    outcomes = send_c_store(
        [path], by_dimse(pacs), ae_title="OSTEOSCREEN", tls=tls, transaction_uid="1.2"
    )

    assert outcomes == {path.stem: Accepted("0x0000", "query")}


def test_dimse_over_tls_needs_trust_on_both_sides(
    pacs: Orthanc, authority: Authority, stranger: Authority, ours: Identity
) -> None:
    destination = by_dimse(pacs)
    foreign = stranger.issue("osteoscreen")

    for tls in (
        Tls(authority.ca),
        Tls(authority.ca, foreign.cert, foreign.key),
        Tls(stranger.ca, ours.cert, ours.key),
        Tls(None, ours.cert, ours.key),
    ):
        outcome = echo(destination, tls)
        assert isinstance(outcome, Unreachable), tls
    good = Tls(authority.ca, ours.cert, ours.key)
    assert echo(destination, good) == Accepted("0x0000")


def test_objects_are_delivered_by_dicomweb_over_tls(
    web: DicomwebDestination, authority: Authority, tmp_path: Path
) -> None:
    path = write_object(tmp_path, SecondaryCaptureImageStorage, "1.2.3.5")

    outcomes = store_stow_rs([path], web, tls=Tls(authority.ca))

    assert outcomes == {path.stem: Accepted("HTTP 200", "query")}


def test_dicomweb_trusts_our_authority_and_nobody_else(
    web: DicomwebDestination,
    authority: Authority,
    stranger: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What requests would prefer to everything that a program says.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))

    for tls in (Tls(stranger.ca), Tls(), Tls(authority.ca, cert=stranger.ca)):
        assert isinstance(search_qido_rs(web, tls=tls), Unreachable), tls
    assert search_qido_rs(web, tls=Tls(authority.ca)) == Accepted("HTTP 200")


def test_a_port_that_does_not_speak_tls_is_unreachable(authority: Authority) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        destination = DimseDestination(
            kind="dimse",
            name="pacs",
            ae_title="PACS",
            host="127.0.0.1",
            port=listener.getsockname()[1],
            tls=True,
        )
        outcome = echo(destination, Tls(authority.ca))

    assert isinstance(outcome, Unreachable)
    assert "certificate" in outcome.text
