"""Reports of Storage Commitment, as the SCU that asked for them reads them (PS3.4 J.3.3)."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydicom import Dataset
from pynetdicom import evt

from common.dicomnet import status
from common.logging import get_logger

REQUEST_COMMITMENT = 1  # PS3.4 Table J.3.2-1: Action Type ID
EVENT_TYPES = (1, 2)
"""Storage Commitment Request Successful, and Complete with Failures (PS3.4 J.3.3.1)."""

# PS3.3 C.14.1.1, Failure Reason (0008,1197)
REASONS = {
    status.PROCESSING_FAILURE: "processing failure",
    status.NO_SUCH_SOP_INSTANCE: "no such object instance",
    status.CLASS_INSTANCE_CONFLICT: "class and instance conflict",
    status.SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
    status.DUPLICATE_TRANSACTION_UID: "duplicate transaction UID",
    status.RESOURCE_LIMITATION: "resource limitation",
}
PASSING = frozenset({status.PROCESSING_FAILURE, status.RESOURCE_LIMITATION})
"""Failure Reasons that may not hold for the next request."""

log = get_logger(__name__)


def new_transaction_uid() -> str:
    """Return a UID that cannot be guessed: it is all that identifies a report (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


@dataclass(frozen=True, slots=True)
class Report:
    """SOP Instance UIDs that are committed, and Failure Reasons by UID of those that failed."""

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]

    def failures(self) -> dict[str, tuple[str, bool]]:
        """Return the text of each failure by UID, and whether another request may succeed."""
        return {uid: (reason_of(code), code in PASSING) for uid, code in self.failed.items()}


def read_report(event_type: int | None, decode: Callable[[], Dataset]) -> Report | None:
    """Return a report, or None with a line in the log if it is unreadable.

    ``event_type`` : Event Type ID. ``decode`` : returns Event Information (PS3.4 Table
    J.3.3-1). An instance in neither of its sequences is neither committed nor failed.
    """
    if event_type not in EVENT_TYPES:
        log.warning("commitment_report_unreadable", error="it has no valid event type")
        return None
    try:
        return _report(decode())
    except Exception as error:
        # pydicom raises errors of any class on bytes that are no data set. Their text may
        # repeat the bytes.
        log.warning("commitment_report_unreadable", error=type(error).__name__)
        return None


def _report(event_information: Dataset) -> Report:
    failed = {
        str(item.get("ReferencedSOPInstanceUID", "")): int(
            item.get("FailureReason", None) or status.PROCESSING_FAILURE
        )
        for item in event_information.get("FailedSOPSequence") or ()
    }
    committed = {
        str(item.get("ReferencedSOPInstanceUID", ""))
        for item in event_information.get("ReferencedSOPSequence") or ()
    }
    transaction_uid = str(event_information.get("TransactionUID", ""))
    return Report(transaction_uid, frozenset(committed - failed.keys()), failed)


def handle_report(event: evt.Event, accept: Callable[[Report, str], int]) -> tuple[int, None]:
    """Handle N-EVENT-REPORT of Storage Commitment; a handler for ``evt.EVT_N_EVENT_REPORT``.

    ``accept`` takes the report and the peer's address, and returns the status to answer. An
    unreadable report is answered with Invalid Argument Value.
    """
    report = read_report(event.event_type, lambda: event.event_information)
    if report is None:
        return status.INVALID_ARGUMENT_VALUE, None
    return accept(report, str(event.assoc.requestor.address)), None


def reason_of(code: int) -> str:
    """Return the text for an object that was accepted and then not committed."""
    return f"accepted, but not kept: 0x{code:04X} {REASONS.get(code, 'failure')}"
