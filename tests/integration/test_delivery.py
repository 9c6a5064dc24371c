"""Covered: delivery to Orthanc by C-STORE and STOW-RS, to dcmtk's storescp, to a closed port.

Not covered: TLS (test_delivery_tls.py), other servers.
"""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid
from structlog.testing import capture_logs

from common.dicomnet.commitment import new_transaction_uid
from common.settings.load import load_settings
from common.settings.worker import (
    Destination,
    DicomwebDestination,
    DimseDestination,
    WorkerSettings,
)
from common.tls import SYSTEM
from deploy.demo.embedded import free_port
from tests.support.deliveries import (
    COMPREHENSIVE_3D_SR,
    accept_only,
    dimse_destination,
    write_object,
)
from tests.support.servers import Orthanc, running_dcmtk_storescp, running_orthanc
from worker.delivery.result import Accepted, Outcome, Refused, Unreachable
from worker.delivery.send import Job, send
from worker.delivery.store_scu import probe
from worker.delivery.stow_client import probe_stow_rs, search_qido_rs

pytestmark = pytest.mark.servers


@pytest.fixture
def objects(tmp_path: Path) -> list[Path]:
    """An SR and an SC of one study."""
    study = generate_uid()
    return [
        write_object(tmp_path, sop_class, study)
        for sop_class in (COMPREHENSIVE_3D_SR, SecondaryCaptureImageStorage)
    ]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    monkeypatch.chdir(tmp_path)
    return load_settings(WorkerSettings)


def deliver(
    paths: list[Path], destination: Destination, settings: WorkerSettings
) -> dict[str, Outcome]:
    uid = new_transaction_uid()
    return send(Job(tuple(paths), destination, settings.ae_title, settings.tls, uid)).outcomes


def probe_only(destination: Destination) -> Outcome:
    """Test the connection without sending an object."""
    if isinstance(destination, DimseDestination):
        return probe(destination, [], ae_title="OSTEOSCREEN", tls=SYSTEM).outcome
    return search_qido_rs(destination)


def uid_of(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def dicomweb(url: str, **more: str) -> DicomwebDestination:
    return DicomwebDestination.model_validate(
        {"kind": "dicomweb", "name": "archive", "url": url, **more}
    )


@pytest.mark.covers("R14")
def test_c_store_to_orthanc_is_accepted_and_confirmed_by_c_find(
    orthanc: Orthanc, objects: list[Path], settings: WorkerSettings
) -> None:
    outcomes = deliver(objects, dimse_destination(orthanc.dicom_port, "ORTHANC"), settings)

    assert outcomes == {uid_of(path): Accepted("0x0000", "query") for path in objects}
    assert len(orthanc.get("/instances")) == 2
    assert len(orthanc.get("/studies")) == 1


def test_all_objects_are_sent_in_one_association(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    folder = tmp_path / "received"

    with running_dcmtk_storescp(folder, "--verbose") as port:
        deliver(objects, dimse_destination(port), settings)

    assert folder.with_suffix(".log").read_text().count("Association Acknowledged") == 1
    assert len(list(folder.iterdir())) == 2


@pytest.mark.covers("R14")
def test_stow_rs_to_orthanc_keeps_every_byte_and_is_confirmed_by_qido_rs(
    orthanc: Orthanc, objects: list[Path], settings: WorkerSettings
) -> None:
    outcomes = deliver(objects, dicomweb(orthanc.dicomweb_url), settings)

    assert outcomes == {uid_of(path): Accepted("HTTP 200", "query") for path in objects}
    for path in objects:
        (found,) = orthanc.find("Instance", SOPInstanceUID=uid_of(path))
        assert orthanc.file(found["ID"]) == path.read_bytes()


@pytest.mark.parametrize("kind", ["dimse", "dicomweb"])
def test_sending_again_changes_nothing(
    orthanc: Orthanc, objects: list[Path], settings: WorkerSettings, kind: str
) -> None:
    destination = (
        dimse_destination(orthanc.dicom_port)
        if kind == "dimse"
        else dicomweb(orthanc.dicomweb_url)
    )

    first = deliver(objects, destination, settings)
    again = deliver(objects, destination, settings)

    assert again == first
    assert len(orthanc.get("/instances")) == 2


def test_a_pacs_without_c_find_accepts_but_does_not_confirm(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_dcmtk_storescp(tmp_path / "received") as port:
        outcomes = deliver(objects, dimse_destination(port), settings)

    assert set(outcomes.values()) == {Accepted("0x0000")}
    assert len(list((tmp_path / "received").iterdir())) == 2


def test_a_pacs_that_ends_the_association_at_a_query_gets_no_further_request(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    """Debian's configuration of Orthanc: any AE may store, only listed ones may query."""
    with (
        running_orthanc(tmp_path / "pacs", DicomAlwaysAllowFind=False) as orthanc,
        capture_logs() as lines,
    ):
        outcomes = deliver(objects, dimse_destination(orthanc.dicom_port, "ORTHANC"), settings)

    assert outcomes == {uid_of(path): Accepted("0x0000") for path in objects}
    # Each further request would wait for one minute.
    assert [(line["event"], line.get("question")) for line in lines] == [
        ("destination_did_not_answer", "C-FIND")
    ]


def test_a_pacs_that_accepts_implicit_vr_only_gets_implicit_vr(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_dcmtk_storescp(tmp_path / "received", "+xi") as port:
        outcomes = deliver(objects, dimse_destination(port), settings)

    assert set(outcomes.values()) == {Accepted("0x0000")}
    for path in (tmp_path / "received").iterdir():
        assert dcmread(path).file_meta.TransferSyntaxUID.is_implicit_VR


def test_a_refused_sop_class_stops_that_object_only(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    options = accept_only(tmp_path, "SecondaryCaptureImageStorage")
    sr, sc = objects

    with running_dcmtk_storescp(tmp_path / "received", *options) as port:
        outcomes = deliver(objects, dimse_destination(port), settings)

    assert outcomes == {
        uid_of(sr): Refused(
            "no context", "SOP class Comprehensive 3D SR Storage is not accepted"
        ),
        uid_of(sc): Accepted("0x0000"),
    }


def test_a_pacs_that_takes_none_of_our_classes_refuses(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    options = accept_only(tmp_path, "CTImageStorage")

    with running_dcmtk_storescp(tmp_path / "received", *options) as port:
        outcomes = deliver(objects, dimse_destination(port), settings)

    assert set(outcomes.values()) == {
        Refused("no context", "none of our SOP classes is accepted")
    }


def test_a_rejected_association_blocks_the_destination_and_keeps_its_numbers(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_dcmtk_storescp(tmp_path / "received", "--refuse") as port:
        outcomes = deliver(objects, dimse_destination(port), settings)

    assert set(outcomes.values()) == {
        Unreachable("A-ASSOCIATE-RJ 1/1/1", "no reason given", blocks_destination=True)
    }


def test_an_unknown_called_ae_title_blocks_the_destination(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_orthanc(tmp_path / "strict", DicomCheckCalledAet=True) as strict:
        outcomes = deliver(objects, dimse_destination(strict.dicom_port, "UNKNOWN"), settings)

    assert set(outcomes.values()) == {
        Unreachable(
            "A-ASSOCIATE-RJ 1/1/7",
            "the called AE title is not known there",
            blocks_destination=True,
        )
    }


def test_an_association_that_is_aborted_is_tried_again(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_dcmtk_storescp(tmp_path / "received", "--abort-after") as port:
        outcomes = deliver(objects, dimse_destination(port), settings)

    assert all(isinstance(outcome, Unreachable) for outcome in outcomes.values()), outcomes


# pynetdicom 3.0.4 forgets to close the socket of a refused connection.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")
def test_a_closed_port_is_tried_again(objects: list[Path], settings: WorkerSettings) -> None:
    port = free_port()

    for destination in (
        dimse_destination(port),
        dicomweb(f"http://127.0.0.1:{port}/dicom-web"),
    ):
        outcomes = deliver(objects, destination, settings)
        assert {uid_of(path) for path in objects} == set(outcomes)
        assert all(isinstance(outcome, Unreachable) for outcome in outcomes.values())
        assert isinstance(probe_only(destination), Unreachable)


def test_a_wrong_dicomweb_path_blocks_the_destination(
    orthanc: Orthanc, objects: list[Path], settings: WorkerSettings
) -> None:
    outcomes = deliver(objects, dicomweb(f"{orthanc.url}/nothing-here"), settings)

    assert set(outcomes.values()) == {
        Unreachable("HTTP 404", "no such address", blocks_destination=True)
    }


def test_a_wrong_token_blocks_the_destination(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_orthanc(
        tmp_path / "closed", AuthenticationEnabled=True, RegisteredUsers={"ai": "secret"}
    ) as closed:
        outcomes = deliver(objects, dicomweb(closed.dicomweb_url, token="guess"), settings)  # noqa: S106

    assert set(outcomes.values()) == {
        Unreachable("HTTP 401", "the token is missing or wrong", blocks_destination=True)
    }


def test_a_probe_stores_nothing(orthanc: Orthanc) -> None:
    web = dicomweb(orthanc.dicomweb_url)

    outcomes = [
        probe_only(dimse_destination(orthanc.dicom_port)),
        probe_only(web),
        probe_stow_rs(web),
    ]

    assert [type(outcome) for outcome in outcomes] == [Accepted] * 3
    assert orthanc.get("/instances") == []


def test_a_probe_finds_the_accepted_sop_classes(tmp_path: Path) -> None:
    options = accept_only(tmp_path, "SecondaryCaptureImageStorage")
    offered = [COMPREHENSIVE_3D_SR, SecondaryCaptureImageStorage]

    with running_dcmtk_storescp(tmp_path / "received", *options) as port:
        found = probe(dimse_destination(port), offered, ae_title="OSTEOSCREEN", tls=SYSTEM)

    assert found.accepted == {SecondaryCaptureImageStorage}
    assert list((tmp_path / "received").iterdir()) == []
