"""The answer of STOW-RS: a response data set (PS3.18 10.5.3, I.2) and an HTTP status."""

import json
from collections.abc import Sequence
from http import HTTPStatus

from pydicom import Dataset

from db.spool import is_valid_uid
from storescp import status
from storescp.commitment.request import Reference, reference_item
from storescp.file_intake import Received

JSON = "application/dicom+json"


def http_status(received: Sequence[Received], *, disk_full: bool) -> HTTPStatus:
    """What all files of a whole request together mean (PS3.18 Table 10.5.3-1).

    ``disk_full`` : what is refused for want of resources may be sent again later; else these
    are instances that are too large, and will be so tomorrow.
    """
    refusals = [one.refusal.status for one in received if one.refusal is not None]
    if not received:
        return HTTPStatus.BAD_REQUEST
    if not refusals:
        return HTTPStatus.OK
    if len(refusals) < len(received):
        return HTTPStatus.ACCEPTED
    if set(refusals) == {status.OUT_OF_RESOURCES}:
        return (
            HTTPStatus.SERVICE_UNAVAILABLE if disk_full else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        )
    return HTTPStatus.CONFLICT


def response_data_set(received: Sequence[Received]) -> str:
    """Which instances are durable, which are not and why, as DICOM JSON (PS3.18 F).

    We retrieve nothing, so Retrieve URL is empty. What has no UIDs is among other failures.
    """
    ds = Dataset()
    ds.RetrieveURL = ""
    stored, failed, others = [], [], []
    for one in received:
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
