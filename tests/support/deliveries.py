"""Objects to deliver, destinations to deliver them to, and deliveries in the database."""

from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from common.settings.worker import DimseDestination
from db.states import DeliveryState
from tests.support import record
from tests.support.worker_contexts import history, register, with_settings
from worker.context import WorkerContext, utc_now

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"


def write_object(
    folder: Path, sop_class: str, study: str, uid: str = "", *, rows: int = 4
) -> Path:
    """Write a valid SR, or SC of ``rows`` rows and columns; return its path."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid or generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, generate_uid()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID = "Doe^Jane", "P1"
    ds.Modality = "SR" if sop_class == COMPREHENSIVE_3D_SR else "OT"
    if sop_class != COMPREHENSIVE_3D_SR:
        ds.Rows, ds.Columns, ds.SamplesPerPixel = rows, rows, 1
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        ds.PhotometricInterpretation, ds.PixelData = "MONOCHROME2", bytes(rows * rows)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def accept_only(folder: Path, *sop_classes: str) -> list[str]:
    """Return options of dcmtk's storescp that make it accept these SOP classes only.

    ``sop_classes`` : by dcmtk's keywords (asconfig.txt).
    """
    lines = [
        "[[TransferSyntaxes]]\n[Any]\nTransferSyntax1 = LittleEndianExplicit",
        "[[PresentationContexts]]\n[Only]",
        *(f"PresentationContext{i} = {one}\\Any" for i, one in enumerate(sop_classes, 1)),
        "[[Profiles]]\n[Default]\nPresentationContexts = Only\n",
    ]
    path = folder / "profile.cfg"
    path.write_text("\n".join(lines))
    return ["--config-file", str(path), "Default"]


def dimse_destination(port: int, ae_title: str = "ANY") -> DimseDestination:
    """Return the destination ``pacs`` at a local port."""
    return DimseDestination(
        kind="dimse", name="pacs", ae_title=ae_title, host="127.0.0.1", port=port
    )


def with_pacs(context: WorkerContext, port: int, **changes: object) -> WorkerContext:
    """Return a context whose only destination is ``pacs`` at a local port."""
    return with_settings(context, destinations=(dimse_destination(port),), **changes)


def make_due_delivery(
    context: WorkerContext, *, files: bool = True, number: int = 1, rows: int = 4
) -> int:
    """Save a screening whose two objects are due at ``pacs``; return its id.

    ``files`` : write the files of the objects, too. ``number`` : of the series. ``rows`` : of
    the pixels.
    """
    series_id = register(context, number)
    held = record.lease(context.sessions, series_id, now=utc_now())
    record.save(context.sessions, held, "pacs", now=utc_now())
    for new in record.objects() if files else ():
        path = context.settings.spool_dir / new.path
        path.parent.mkdir(parents=True, exist_ok=True)
        written = write_object(
            path.parent, SecondaryCaptureImageStorage, "1.2.3", new.sop_instance_uid, rows=rows
        )
        written.rename(path)
    return held.screening_id


def deliveries(context: WorkerContext) -> list[tuple[DeliveryState, str | None, int]]:
    """Return state, last status and number of attempts of each delivery."""
    return [
        (sent.delivery.state, sent.delivery.last_status, sent.delivery.attempts)
        for sent in history(context).deliveries
    ]
