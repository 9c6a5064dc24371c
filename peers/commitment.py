"""Reports of Storage Commitment as the one who asked reads them (PS3.4 J.3.3)."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom import Dataset

REQUEST_COMMITMENT = 1  # PS3.4 Table J.3.2-1: Action Type ID
PROCESSING_FAILURE, RESOURCE_LIMITATION = 0x0110, 0x0213

# PS3.3 C.14.1.1, Failure Reason (0008,1197)
REASONS = {
    PROCESSING_FAILURE: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "SOP class not supported",
    0x0131: "duplicate transaction UID",
    RESOURCE_LIMITATION: "resource limitation",
}
PASSING = frozenset({PROCESSING_FAILURE, RESOURCE_LIMITATION})


def new_transaction_uid() -> str:
    """A UID that nobody can guess: a report is believed for naming it (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


@dataclass(frozen=True, slots=True)
class Report:
    """SOP Instance UIDs that are kept, and Failure Reasons of those that are not."""

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


def read_report(event_information: Dataset) -> Report:
    """Event Information (PS3.4 Table J.3.3-1); what is not said counts as not said."""
    failed = {
        str(item.get("ReferencedSOPInstanceUID", "")): int(
            item.get("FailureReason", None) or PROCESSING_FAILURE
        )
        for item in event_information.get("FailedSOPSequence") or ()
    }
    held = {
        str(item.get("ReferencedSOPInstanceUID", ""))
        for item in event_information.get("ReferencedSOPSequence") or ()
    }
    transaction_uid = str(event_information.get("TransactionUID", ""))
    return Report(transaction_uid, frozenset(held - failed.keys()), failed)


def reason_of(code: int) -> str:
    """Why an object was accepted and is not kept."""
    return f"accepted, but not kept: 0x{code:04X} {REASONS.get(code, 'failure')}"
