"""Storage Commitment as SCU (PS3.4 Annex J), on the association of a delivery."""

import threading
from collections.abc import Sequence

from pydicom import Dataset
from pynetdicom import Association, evt
from pynetdicom.dimse_messages import N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP
from pynetdicom.dsutils import decode
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from common.dicomnet import status
from common.dicomnet.association import Handlers, NoAnswer
from common.dicomnet.commitment import (
    PASSING,
    REQUEST_COMMITMENT,
    Report,
    read_report,
    reason_of,
)
from common.logging import get_logger
from db.commitment import NOT_COMMITTED
from worker.delivery.result import Accepted, Outcome, Refused, Unreachable

COMMITMENT = StorageCommitmentPushModel
ANSWER_SECONDS = 1.0
"""Longest wait for another thread of pynetdicom: the one that reads the answer to our request
for an association, the one that answers a report."""
MAX_REPORTS = 1000

log = get_logger(__name__)


class CommitmentReports:
    """Reports that a destination sends on the association of a delivery.

    They belong to ``transaction_uid``, the transaction of this delivery, or to an earlier one:
    a destination may report on any association. A report is kept by pynetdicom's network
    thread, in the order of arrival, before it is answered. It therefore counts even where the
    association ends before the answer. The network thread may be ahead of the thread that reads
    A-ASSOCIATE-AC, and then waits for it: pynetdicom would abort the association. The Storage
    SCP receives reports on associations that the destination opens.
    """

    def __init__(self, transaction_uid: str) -> None:
        self.transaction_uid = transaction_uid
        self.requested = False
        self._reports: list[Report] = []
        self._unreadable: set[int] = set()
        self._received = self._answered = 0
        self._changed = threading.Condition()
        self._established = threading.Event()

    @property
    def handlers(self) -> Handlers:
        """Handlers of the events of pynetdicom."""
        return (
            (evt.EVT_ESTABLISHED, lambda _: self._established.set()),
            (evt.EVT_DIMSE_RECV, self._keep),
            (evt.EVT_N_EVENT_REPORT, self._answer),
            (evt.EVT_DIMSE_SENT, self._count_answer),
        )

    def wait(self, seconds: float) -> None:
        """Wait for the report, if it is requested, and until each report is answered."""
        with self._changed:
            self._changed.wait_for(lambda: not self.requested or any(self._own()), seconds)
            self._changed.wait_for(lambda: self._answered >= self._received, ANSWER_SECONDS)

    def apply(self, uid: str, outcome: Outcome) -> Outcome:
        """Return the outcome of an object, updated by the reports of this delivery."""
        for report in self._own():
            outcome = _apply(report, uid, outcome)
        return outcome

    def of_earlier_deliveries(self) -> tuple[Report, ...]:
        """Return the reports of other transactions."""
        return tuple(
            one for one in self._reports if one.transaction_uid != self.transaction_uid
        )

    def _own(self) -> list[Report]:
        return [one for one in self._reports if one.transaction_uid == self.transaction_uid]

    def _keep(self, event: evt.Event) -> None:
        if not isinstance(event.message, N_EVENT_REPORT_RQ):
            return
        self._established.wait(ANSWER_SECONDS)
        report = _decode(event)
        with self._changed:
            self._received += 1
            if report is None:
                self._unreadable.add(event.message.command_set.MessageID)
            elif len(self._reports) < MAX_REPORTS:
                self._reports.append(report)
            self._changed.notify_all()

    def _answer(self, event: evt.Event) -> tuple[int, None]:
        if event.request.MessageID in self._unreadable:
            return status.INVALID_ARGUMENT_VALUE, None
        return status.SUCCESS, None

    def _count_answer(self, event: evt.Event) -> None:
        if isinstance(event.message, N_EVENT_REPORT_RSP):
            with self._changed:
                self._answered += 1
                self._changed.notify_all()


def _decode(event: evt.Event) -> Report | None:
    def information() -> Dataset:
        contexts = {one.context_id: one for one in event.assoc.accepted_contexts}
        syntax = contexts[event.message.context_id].transfer_syntax[0]
        return decode(event.message.data_set, syntax.is_implicit_VR, syntax.is_little_endian)

    return read_report(event.message.command_set.get("EventTypeID"), information)


def _apply(report: Report, uid: str, outcome: Outcome) -> Outcome:
    if not isinstance(outcome, Accepted):
        return outcome
    if uid in report.committed:
        return Accepted(outcome.status, "commitment")
    code = report.failed.get(uid)
    if code is None:
        return outcome
    return (Unreachable if code in PASSING else Refused)(NOT_COMMITTED, reason_of(code))


def request_commitment(
    assoc: Association, objects: Sequence[Dataset], transaction_uid: str
) -> bool:
    """Send N-ACTION for accepted objects; return whether the destination takes the request.

    Raises NoAnswer.
    """
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_reference(ds) for ds in objects]
    answer, _ = assoc.send_n_action(
        request,
        REQUEST_COMMITMENT,
        StorageCommitmentPushModel,
        StorageCommitmentPushModelInstance,
    )
    if "Status" not in answer:
        raise NoAnswer("N-ACTION")
    if answer.Status == status.SUCCESS:
        return True
    log.warning("commitment_not_requested", status=f"0x{answer.Status:04X}")
    return False


def _reference(ds: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = ds.SOPClassUID
    item.ReferencedSOPInstanceUID = ds.SOPInstanceUID
    return item
