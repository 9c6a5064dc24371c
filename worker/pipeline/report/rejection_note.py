"""The rejection note of a withdrawn result: a Key Object Selection Document (IHE RAD IOCM).

IOD: PS3.3 A.35.4. Content: PS3.16 TID 2010. An image manager hides what such a note refers to
(IHE RAD TF-3 4.66.4.2 and 4.66.4.3).
"""

from collections.abc import Sequence
from datetime import datetime

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import KeyObjectSelectionDocumentStorage

from worker.pipeline.derived_header import (
    MANUFACTURER,
    copy_patient_and_study,
    finalize,
    reference,
)
from worker.pipeline.report.document import SOP_CLASS_UIDS, evidence
from worker.pipeline.report.items import CONTAINS, container, text

SERIES_NUMBER = 9009
REJECTED = codes.DCM.RejectedForPatientSafetyReasons  # CID 7010, 113037
WRONG_PATIENT = codes.DCM.IncorrectModalityWorklistEntry  # CID 7010, 113038
TEMPLATE = "2010"


def build_rejection_note(
    report: Dataset, objects: Sequence[Dataset], title: Code, why: str, *, at: datetime
) -> Dataset:
    """Build the note that rejects ``objects``; equal arguments give equal UIDs.

    ``report`` : the SR of the withdrawn result: its patient and study are those of the note,
    also where they are wrong. ``objects`` : with the UIDs of study, series, SOP class and
    instance. ``title`` : a document title of CID 7010. ``why`` : a sentence without patient
    data. ``at`` : aware, the only clock value.
    """
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = KeyObjectSelectionDocumentStorage
    ds.StudyInstanceUID = report.StudyInstanceUID
    copy_patient_and_study(report, ds)
    ds.Modality = "KO"
    ds.SeriesNumber = SERIES_NUMBER
    ds.SeriesDescription = f"Withdrawn: {report.get('SeriesDescription', 'AI report')}"[:64]
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.Manufacturer = MANUFACTURER
    for keyword in ("ManufacturerModelName", "SoftwareVersions", "ReferencedRequestSequence"):
        if keyword in report:
            ds.add(report[keyword])
    ds.InstanceNumber = 1
    ds.CurrentRequestedProcedureEvidenceSequence = [evidence(objects)]
    root = container(title, text(codes.DCM.KeyObjectDescription, why), template=TEMPLATE)
    observer = [
        item for item in report.ContentSequence if item.RelationshipType == "HAS OBS CONTEXT"
    ]
    ds.update(root)
    ds.ContentSequence = [*observer, *root.ContentSequence, *map(_item, objects)]
    return finalize(ds, "ko", at)


def _item(instance: Dataset) -> Dataset:
    """Return the content item that refers to an object."""
    item = Dataset()
    item.RelationshipType = CONTAINS
    is_report = instance.SOPClassUID in SOP_CLASS_UIDS.values()
    item.ValueType = "COMPOSITE" if is_report else "IMAGE"
    item.ReferencedSOPSequence = [reference(instance)]
    return item
