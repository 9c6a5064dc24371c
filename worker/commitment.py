"""Storage Commitment as SCU (PS3.4 Annex J), on the association of a delivery."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydicom import Dataset
from pynetdicom import Association, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from db.commitment import NOT_COMMITTED
from db.telemetry import get_logger
from peers.association import NoAnswer, accepts
from peers.commitment import PASSING, REQUEST_COMMITMENT, Report, read_report, reason_of
from worker.outcomes import SUCCESS, Accepted, Outcome, Refused, Unreachable

REPORT_SECONDS = 5.0
INVALID_ARGUMENT_VALUE = 0x0115

log = get_logger(__name__)


@dataclass(slots=True)
class Reports:
    """What a destination reports while its association is open; the rest goes to the SCP."""

    transaction_uid: str
    _report: Report | None = None
    _came: threading.Event = field(default_factory=threading.Event)

    def take(self, event: evt.Event) -> tuple[int, None]:
        """N-EVENT-REPORT."""
        try:
            report = read_report(event.event_information)
        except Exception as error:
            # Whatever pydicom says of bytes that are no data set.
            log.warning("commitment_report_unreadable", error=type(error).__name__)
            return INVALID_ARGUMENT_VALUE, None
        if report.transaction_uid != self.transaction_uid:
            return INVALID_ARGUMENT_VALUE, None
        self._report = report
        self._came.set()
        return SUCCESS, None

    def wait(self, seconds: float) -> None:
        """Wait for the report."""
        self._came.wait(seconds)

    def judge(self, uid: str, outcome: Outcome) -> Outcome:
        """The outcome of an object, the report considered."""
        if self._report is None or not isinstance(outcome, Accepted):
            return outcome
        if uid in self._report.committed:
            return Accepted(outcome.status, "commitment")
        code = self._report.failed.get(uid)
        if code is None:
            return outcome
        return (Unreachable if code in PASSING else Refused)(NOT_COMMITTED, reason_of(code))


def request_commitment(
    assoc: Association,
    objects: Sequence[Dataset],
    outcomes: Mapping[str, Outcome],
    transaction_uid: str,
) -> bool:
    """Ask the destination to keep what it has accepted; False where it will not report.

    Raises NoAnswer.
    """
    accepted = [ds for ds in objects if isinstance(outcomes[str(ds.SOPInstanceUID)], Accepted)]
    if not (accepted and assoc.is_established and accepts(assoc, StorageCommitmentPushModel)):
        return False
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_reference(ds) for ds in accepted]
    status, _ = assoc.send_n_action(
        request,
        REQUEST_COMMITMENT,
        StorageCommitmentPushModel,
        StorageCommitmentPushModelInstance,
    )
    if "Status" not in status:
        raise NoAnswer("N-ACTION")
    if status.Status == SUCCESS:
        return True
    log.warning("commitment_not_requested", status=f"0x{status.Status:04X}")
    return False


def _reference(ds: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = ds.SOPClassUID
    item.ReferencedSOPInstanceUID = ds.SOPInstanceUID
    return item
