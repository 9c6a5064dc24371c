"""STOW-RS responses: HTTP status and response data set (PS3.18 10.5.3, I.2)."""

import json
from collections.abc import Sequence
from http import HTTPStatus

from pydicom import Dataset

from common.dicom.uids import is_valid_uid
from common.dicomnet import status
from storescp.commitment.request import Reference, reference_item
from storescp.store.part10_writer import FileOutcome

JSON = "application/dicom+json"


def http_status(outcomes: Sequence[FileOutcome], *, disk_full: bool) -> HTTPStatus:
    """Return the status of a complete request (PS3.18 Table 10.5.3-1).

    ``disk_full`` : Out of Resources is temporary; otherwise the instances are too large.
    """
    refusals = [one.refusal.status for one in outcomes if one.refusal is not None]
    if not outcomes:
        return HTTPStatus.BAD_REQUEST
    if not refusals:
        return HTTPStatus.OK
    if len(refusals) < len(outcomes):
        return HTTPStatus.ACCEPTED
    if set(refusals) == {status.OUT_OF_RESOURCES}:
        return (
            HTTPStatus.SERVICE_UNAVAILABLE if disk_full else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        )
    return HTTPStatus.CONFLICT


def response_data_set(outcomes: Sequence[FileOutcome]) -> str:
    """Return the outcomes as DICOM JSON (PS3.18 F).

    Retrieve URL is empty: this service has no retrieval. A file without valid UIDs is listed
    in Other Failures Sequence.
    """
    ds = Dataset()
    ds.RetrieveURL = ""
    stored, failed, others = [], [], []
    for one in outcomes:
        reference = Reference(one.sop_class_uid, one.sop_instance_uid)
        if one.refusal is None:
            item = reference_item(reference)
            item.RetrieveURL = ""
            stored.append(item)
        elif is_valid_uid(one.sop_class_uid) and is_valid_uid(one.sop_instance_uid):
            failed.append(reference_item(reference, one.refusal.status))
        else:
            item = Dataset()
            item.FailureReason = one.refusal.status
            others.append(item)
    if stored:
        ds.ReferencedSOPSequence = stored
    if failed:
        ds.FailedSOPSequence = failed
    if others:
        ds.OtherFailuresSequence = others
    return json.dumps(ds.to_json_dict())
