"""TLS of delivery to Orthanc by C-STORE and STOW-RS.

Covered: missing and foreign certificates of either side. Not covered: revocation lists, expired
certificates.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from common.settings.worker import DicomwebDestination, DimseDestination
from common.tls import Tls
from deploy.demo.embedded import free_port
from tests.support.certificates import Authority, Identity
from tests.support.deliveries import write_object
from tests.support.servers import Orthanc, running_orthanc
from tests.support.tls_proxy import tls_proxy
from worker.delivery.commitment_scu import CommitmentReports
from worker.delivery.result import Accepted, Outcome, Unreachable
from worker.delivery.store_scu import probe, send_c_store
from worker.delivery.stow_client import search_qido_rs, store_stow_rs

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def pacs(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Orthanc with TLS for DIMSE that requires a certificate of senders."""
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
    """DICOMweb services of the same Orthanc over HTTPS."""
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
        [path],
        by_dimse(pacs),
        ae_title="OSTEOSCREEN",
        tls=tls,
        reports=CommitmentReports("1.2"),
    )

    assert outcomes == {path.stem: Accepted("0x0000", "query")}


@pytest.mark.covers("T3")
def test_dimse_over_tls_needs_trust_on_both_sides(
    pacs: Orthanc, authority: Authority, other_authority: Authority, ours: Identity
) -> None:
    destination = by_dimse(pacs)
    foreign = other_authority.issue("osteoscreen")

    for tls in (
        Tls(authority.ca),
        Tls(authority.ca, foreign.cert, foreign.key),
        Tls(other_authority.ca, ours.cert, ours.key),
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


@pytest.mark.covers("T3")
def test_dicomweb_trusts_only_our_authority(
    web: DicomwebDestination,
    authority: Authority,
    other_authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # By default, requests prefers this variable to the arguments of the program.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))

    for tls in (Tls(other_authority.ca), Tls(), Tls(authority.ca, cert=other_authority.ca)):
        assert isinstance(search_qido_rs(web, tls=tls), Unreachable), tls
    assert search_qido_rs(web, tls=Tls(authority.ca)) == Accepted("HTTP 200")


def test_a_port_at_which_nothing_listens_is_unreachable(authority: Authority) -> None:
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
    assert "the connection is refused" in outcome.text
