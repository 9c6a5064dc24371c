"""Key Object Selection Documents, and that of a result, for workstations that show no SR.

IOD: PS3.3 A.35.4. Content: PS3.16 TID 2010.
"""

from collections.abc import Sequence
from datetime import datetime

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import KeyObjectSelectionDocumentStorage

from worker.pipeline import header_values
from worker.pipeline.derived_header import (
    MANUFACTURER,
    copy_patient_and_study,
    finalize,
    reference,
)
from worker.pipeline.image_numbers import neck_slice, source_slice
from worker.pipeline.report.document import SOP_CLASS_UIDS, evidence
from worker.pipeline.report.items import CONTAINS, container, text
from worker.pipeline.results import Screening

SERIES_NUMBER = 9004
TEMPLATE = "2010"
DESCRIPTION = "Result picture of osteoscreen and the CT images of the hips. {notice}"


def build_key_objects(
    screening: Screening, report: Dataset, result_picture: Dataset, *, at: datetime
) -> Dataset:
    """Build the selection of the result picture and the source slices of the graded hips.

    Of a reformatted plane the slice through the neck is named. ``report`` : the SR of the
    result. Equal arguments give equal bytes.
    """
    ds = key_object_document(
        report,
        [result_picture, *_source_slices(screening)],
        codes.DCM.OfInterest,  # CID 7010, 113000
        DESCRIPTION.format(notice=report.CompletionFlagDescription),
    )
    ds.SeriesNumber = SERIES_NUMBER
    ds.SeriesDescription = str(result_picture.SeriesDescription)
    return finalize(ds, "key", at)


def key_object_document(
    report: Dataset, objects: Sequence[Dataset], title: Code, description: str
) -> Dataset:
    """Return a Key Object Selection without series and UIDs (``finalize``).

    ``report`` : an SR, whose patient and study are those of the selection. ``objects`` : with
    the UIDs of study, series, SOP class and instance. ``title`` : of CID 7010.
    """
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = KeyObjectSelectionDocumentStorage
    ds.StudyInstanceUID = report.StudyInstanceUID
    copy_patient_and_study(report, ds)
    ds.Modality = "KO"
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.Manufacturer = MANUFACTURER
    for keyword in ("ManufacturerModelName", "SoftwareVersions", "ReferencedRequestSequence"):
        if keyword in report:
            ds.add(report[keyword])
    ds.InstanceNumber = 1
    ds.CurrentRequestedProcedureEvidenceSequence = [evidence(objects)]
    what = text(codes.DCM.KeyObjectDescription, description)
    root = container(title, what, template=TEMPLATE)
    observer = [
        item for item in report.ContentSequence if item.RelationshipType == "HAS OBS CONTEXT"
    ]
    ds.update(root)
    ds.ContentSequence = [*observer, *root.ContentSequence, *map(_item, objects)]
    return ds


def _source_slices(screening: Screening) -> list[Dataset]:
    """Return the slices of the graded hips, each once."""
    found: list[Dataset] = []
    for hip in screening.hips:
        if hip.grade is None or hip.plane is None:
            continue
        header = source_slice(screening.headers_of(hip), hip.plane) or neck_slice(
            screening, hip
        )
        if header is not None and all(header is not one for one in found):
            found.append(header)
    return found


def _item(instance: Dataset) -> Dataset:
    """Return the content item that refers to an object."""
    item = Dataset()
    item.RelationshipType = CONTAINS
    documents = (*SOP_CLASS_UIDS.values(), KeyObjectSelectionDocumentStorage)
    item.ValueType = "COMPOSITE" if instance.SOPClassUID in documents else "IMAGE"
    referenced = reference(instance)
    if (frame := header_values.frame_of(instance)) is not None:
        referenced.ReferencedFrameNumber = frame
    item.ReferencedSOPSequence = [referenced]
    return item
