"""The rejection note of a withdrawn result: a Key Object Selection Document (IHE RAD IOCM).

An image manager hides what such a note refers to (IHE RAD TF-3 4.66.4.2 and 4.66.4.3).
"""

from collections.abc import Sequence
from datetime import datetime

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from worker.pipeline.derived_header import finalize
from worker.pipeline.report.key_objects import key_object_document

SERIES_NUMBER = 9009
REJECTED = codes.DCM.RejectedForPatientSafetyReasons  # CID 7010, 113037
WRONG_PATIENT = codes.DCM.IncorrectModalityWorklistEntry  # CID 7010, 113038


def build_rejection_note(
    report: Dataset, objects: Sequence[Dataset], title: Code, why: str, *, at: datetime
) -> Dataset:
    """Build the note that rejects ``objects``; equal arguments give equal UIDs.

    ``report`` : the SR of the withdrawn result: its patient and study are those of the note,
    also where they are wrong. ``objects`` : with the UIDs of study, series, SOP class and
    instance. ``title`` : a document title of CID 7010. ``why`` : a sentence without patient
    data. ``at`` : aware, the only clock value.
    """
    ds = key_object_document(report, objects, title, why)
    ds.SeriesNumber = SERIES_NUMBER
    ds.SeriesDescription = f"Withdrawn: {report.get('SeriesDescription', 'AI report')}"[:64]
    return finalize(ds, "ko", at)
