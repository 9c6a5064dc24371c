"""Delivery to real receivers: Orthanc by C-STORE and STOW-RS, dcmtk's storescp, a closed port.

Not covered: TLS to a PACS (test_tls.py), and servers other than these.
"""

from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from structlog.testing import capture_logs

from db.settings import load_settings
from db.tls import SYSTEM
from deploy.embedded import free_port
from peers.commitment import new_transaction_uid
from tests.servers import Orthanc, running_dcmtk_storescp, running_orthanc
from worker import deliver as delivering
from worker.dicomweb import probe_stow_rs, search_qido_rs
from worker.dimse import probe
from worker.outcomes import Accepted, Outcome, Refused, Unreachable
from worker.settings import (
    Destination,
    DicomwebDestination,
    DimseDestination,
    WorkerSettings,
)

pytestmark = pytest.mark.servers

# dcmtk's asconfig.txt: one SOP class, one transfer syntax.
PROFILE = """[[TransferSyntaxes]]
[Any]
TransferSyntax1 = LittleEndianExplicit
[[PresentationContexts]]
[Only]
PresentationContext1 = {sop_class}\\Any
[[Profiles]]
[Default]
PresentationContexts = Only
"""
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"


def write_object(folder: Path, sop_class: str, study: str, uid: str = "") -> Path:
    """A small valid object of this class; what is in it does not matter to delivery."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid or generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, generate_uid()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID = "Doe^Jane", "P1"
    ds.Modality = "SR" if sop_class == COMPREHENSIVE_3D_SR else "OT"
    if sop_class != COMPREHENSIVE_3D_SR:
        ds.Rows, ds.Columns, ds.SamplesPerPixel = 4, 4, 1
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        ds.PhotometricInterpretation, ds.PixelData = "MONOCHROME2", bytes(16)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


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
    return delivering.deliver(
        paths, destination, settings, transaction_uid=new_transaction_uid()
    )


def check(destination: Destination) -> Outcome:
    """Ask without sending anything."""
    if isinstance(destination, DimseDestination):
        return probe(destination, [], ae_title="OSTEOSCREEN", tls=SYSTEM).outcome
    return search_qido_rs(destination)


def uid_of(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def dimse(port: int, ae_title: str = "ANY") -> DimseDestination:
    return DimseDestination(
        kind="dimse", name="pacs", ae_title=ae_title, host="127.0.0.1", port=port
    )


def dicomweb(url: str, **more: str) -> DicomwebDestination:
    return DicomwebDestination.model_validate(
        {"kind": "dicomweb", "name": "archive", "url": url, **more}
    )


def test_c_store_to_orthanc_is_accepted_and_confirmed_by_c_find(
    orthanc: Orthanc, objects: list[Path], settings: WorkerSettings
) -> None:
    outcomes = deliver(objects, dimse(orthanc.dicom_port, "ORTHANC"), settings)

    assert outcomes == {uid_of(path): Accepted("0x0000", "query") for path in objects}
    assert len(orthanc.get("/instances")) == 2
    assert len(orthanc.get("/studies")) == 1


def test_all_objects_travel_in_one_association(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    folder = tmp_path / "received"

    with running_dcmtk_storescp(folder, "--verbose") as port:
        deliver(objects, dimse(port), settings)

    assert folder.with_suffix(".log").read_text().count("Association Acknowledged") == 1
    assert len(list(folder.iterdir())) == 2


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
        dimse(orthanc.dicom_port) if kind == "dimse" else dicomweb(orthanc.dicomweb_url)
    )

    first = deliver(objects, destination, settings)
    again = deliver(objects, destination, settings)

    assert again == first
    assert len(orthanc.get("/instances")) == 2


def test_a_pacs_without_c_find_accepts_but_does_not_confirm(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_dcmtk_storescp(tmp_path / "received") as port:
        outcomes = deliver(objects, dimse(port), settings)

    assert set(outcomes.values()) == {Accepted("0x0000")}
    assert len(list((tmp_path / "received").iterdir())) == 2


def test_a_pacs_that_ends_the_association_at_a_query_is_asked_no_more(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    """Orthanc as Debian sets it up: all may store, only who is listed may query."""
    with (
        running_orthanc(tmp_path / "pacs", DicomAlwaysAllowFind=False) as orthanc,
        capture_logs() as lines,
    ):
        outcomes = deliver(objects, dimse(orthanc.dicom_port, "ORTHANC"), settings)

    assert outcomes == {uid_of(path): Accepted("0x0000") for path in objects}
    # Each further question would wait for a minute.
    assert [(line["event"], line.get("question")) for line in lines] == [
        ("destination_did_not_answer", "C-FIND")
    ]


def test_a_pacs_of_implicit_vr_only_gets_what_it_can_read(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_dcmtk_storescp(tmp_path / "received", "+xi") as port:
        outcomes = deliver(objects, dimse(port), settings)

    assert all(isinstance(outcome, Accepted) for outcome in outcomes.values())
    for path in (tmp_path / "received").iterdir():
        assert dcmread(path).file_meta.TransferSyntaxUID.is_implicit_VR


def test_a_refused_sop_class_stops_that_object_only(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    profile = tmp_path / "only-sc.cfg"
    profile.write_text(PROFILE.format(sop_class="SecondaryCaptureImageStorage"))
    sr, sc = objects

    with running_dcmtk_storescp(
        tmp_path / "received", "--config-file", str(profile), "Default"
    ) as port:
        outcomes = deliver(objects, dimse(port), settings)

    refused = outcomes[uid_of(sr)]
    assert isinstance(refused, Refused)
    assert "Comprehensive 3D SR" in refused.text
    assert isinstance(outcomes[uid_of(sc)], Accepted)


def test_a_pacs_that_takes_none_of_our_classes_refuses(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    profile = tmp_path / "only-ct.cfg"
    profile.write_text(PROFILE.format(sop_class="CTImageStorage"))

    with running_dcmtk_storescp(
        tmp_path / "received", "--config-file", str(profile), "Default"
    ) as port:
        outcomes = deliver(objects, dimse(port), settings)

    assert {type(outcome) for outcome in outcomes.values()} == {Refused}
    assert {outcome.status for outcome in outcomes.values()} == {"no context"}


def test_a_rejected_association_is_final_and_keeps_its_numbers(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_dcmtk_storescp(tmp_path / "received", "--refuse") as port:
        outcomes = deliver(objects, dimse(port), settings)

    (outcome,) = set(outcomes.values())
    assert isinstance(outcome, Refused)
    assert outcome.status.startswith("A-ASSOCIATE-RJ 1/1/")


def test_an_unknown_called_ae_title_is_final(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_orthanc(tmp_path / "strict", DicomCheckCalledAet=True) as strict:
        outcomes = deliver(objects, dimse(strict.dicom_port, "STRANGER"), settings)

    assert set(outcomes.values()) == {
        Refused("A-ASSOCIATE-RJ 1/1/7", "the called AE title is not known there")
    }


def test_an_association_that_is_aborted_is_tried_again(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_dcmtk_storescp(tmp_path / "received", "--abort-after") as port:
        outcomes = deliver(objects, dimse(port), settings)

    assert all(isinstance(outcome, Unreachable) for outcome in outcomes.values()), outcomes


# pynetdicom 3.0.4 forgets to close the socket of a refused connection.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")
def test_a_closed_port_is_tried_again(objects: list[Path], settings: WorkerSettings) -> None:
    port = free_port()

    for destination in (dimse(port), dicomweb(f"http://127.0.0.1:{port}/dicom-web")):
        outcomes = deliver(objects, destination, settings)
        assert {uid_of(path) for path in objects} == set(outcomes)
        assert all(isinstance(outcome, Unreachable) for outcome in outcomes.values())
        assert isinstance(check(destination), Unreachable)


def test_a_wrong_dicomweb_path_is_final(
    orthanc: Orthanc, objects: list[Path], settings: WorkerSettings
) -> None:
    outcomes = deliver(objects, dicomweb(f"{orthanc.url}/nothing-here"), settings)

    assert {outcome.status for outcome in outcomes.values()} == {"HTTP 404"}
    assert all(isinstance(outcome, Refused) for outcome in outcomes.values())


def test_a_wrong_token_is_final(
    tmp_path: Path, objects: list[Path], settings: WorkerSettings
) -> None:
    with running_orthanc(
        tmp_path / "closed", AuthenticationEnabled=True, RegisteredUsers={"ai": "secret"}
    ) as closed:
        outcomes = deliver(objects, dicomweb(closed.dicomweb_url, token="guess"), settings)  # noqa: S106

    assert {outcome.status for outcome in outcomes.values()} == {"HTTP 401"}


def test_asking_leaves_nothing_behind(orthanc: Orthanc) -> None:
    web = dicomweb(orthanc.dicomweb_url)

    outcomes = [check(dimse(orthanc.dicom_port)), check(web), probe_stow_rs(web)]

    assert [type(outcome) for outcome in outcomes] == [Accepted] * 3
    assert orthanc.get("/instances") == []


def test_what_a_pacs_takes_is_negotiated(tmp_path: Path) -> None:
    profile = tmp_path / "only-sc.cfg"
    profile.write_text(PROFILE.format(sop_class="SecondaryCaptureImageStorage"))
    offered = [COMPREHENSIVE_3D_SR, SecondaryCaptureImageStorage]

    with running_dcmtk_storescp(
        tmp_path / "received", "--config-file", str(profile), "Default"
    ) as port:
        found = probe(dimse(port), offered, ae_title="OSTEOSCREEN", tls=SYSTEM)

    assert found.accepted == {SecondaryCaptureImageStorage}
    assert list((tmp_path / "received").iterdir()) == []
