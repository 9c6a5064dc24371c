"""Reports of Storage Commitment to the senders (N-EVENT-REPORT, PS3.4 J.3.3).

First on the association that asked, as long as it is there; then on one of our own, where
``COMMITMENT_PEERS`` says how to reach the sender. Requests are kept in memory: a sender whose
report does not come asks again, as the standard wants.
"""

import heapq
import itertools
import threading
import time
from dataclasses import dataclass, field
from io import BytesIO

from pynetdicom import AE, Association, build_role
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from db.telemetry import get_logger
from db.tls import client_context
from storescp.commitment.request import Request, Verdict, judge
from storescp.settings import StoreScpSettings
from storescp.status import SUCCESS

FIRST_DELAY_SECONDS = 0.2  # our answer to the N-ACTION goes first
RETRY_SECONDS = (1.0, 10.0, 60.0, 600.0)
ANSWER_SECONDS = 10.0
MAX_WAITING = 1000

log = get_logger(__name__)


@dataclass(slots=True, order=True)
class _Job:
    due: float
    number: int
    assoc: Association = field(compare=False)
    calling_ae_title: str = field(compare=False)
    request: Request = field(compare=False)
    attempts: int = field(default=0, compare=False)


class Reporter(threading.Thread):
    """One per server; association threads only hand requests and answers over."""

    def __init__(self, settings: StoreScpSettings) -> None:
        super().__init__(name="reporter", daemon=True)
        self._settings = settings
        self._jobs: list[_Job] = []
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._stopping = False
        self._unanswered: dict[tuple[Association, int], _Answer] = {}

    def ask(self, assoc: Association, calling_ae_title: str, request: Request) -> bool:
        """Take a request; False when too many wait."""
        with self._changed:
            if len(self._jobs) >= MAX_WAITING:
                return False
            due = time.monotonic() + FIRST_DELAY_SECONDS
            job = _Job(due, next(self._numbers), assoc, calling_ae_title, request)
            heapq.heappush(self._jobs, job)
            self._changed.notify()
        return True

    def answered(self, assoc: Association, message_id: int, status: int) -> None:
        """An N-EVENT-REPORT-RSP has come on the association that asked."""
        answer = self._unanswered.get((assoc, message_id))
        if answer is not None:
            answer.status = status
            answer.came.set()

    def stop(self) -> None:
        """End after the report at hand."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def run(self) -> None:
        """Report what is due until ``stop``; the process boundary of this thread."""
        while (job := self._next()) is not None:
            try:
                self._report(job)
            except Exception:
                log.exception("commitment_failed")

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if self._jobs and self._jobs[0].due <= now:
                    return heapq.heappop(self._jobs)
                self._changed.wait(self._jobs[0].due - now if self._jobs else None)
            return None

    def _report(self, job: _Job) -> None:
        verdict = judge(self._settings.spool_dir, job.request)
        words = {
            "transaction_uid": verdict.transaction_uid,
            "calling_ae_title": job.calling_ae_title,
            "committed": len(verdict.committed),
            "failed": len(verdict.failed),
        }
        if self._report_here(job.assoc, verdict) or self._report_anew(job, verdict):
            log.info("commitment_reported", **words)
            return
        if job.attempts == len(RETRY_SECONDS):
            log.warning("commitment_not_reported", **words)
            return
        job.due = time.monotonic() + RETRY_SECONDS[job.attempts]
        job.attempts += 1
        with self._changed:
            heapq.heappush(self._jobs, job)

    def _report_here(self, assoc: Association, verdict: Verdict) -> bool:
        """On the association that asked, which also does other things meanwhile.

        Not by ``send_n_event_report``: that wants the association's thread to stand still.
        """
        context = next(
            (
                one
                for one in assoc.accepted_contexts
                if one.abstract_syntax == StorageCommitmentPushModel
            ),
            None,
        )
        if context is None or not assoc.is_established:
            return False
        syntax = context.transfer_syntax[0]
        report = N_EVENT_REPORT()
        report.MessageID = next(self._numbers) % 65_536
        report.AffectedSOPClassUID = StorageCommitmentPushModel
        report.AffectedSOPInstanceUID = StorageCommitmentPushModelInstance
        report.EventTypeID = verdict.event_type
        report.EventInformation = BytesIO(
            encode(verdict.to_data_set(), syntax.is_implicit_VR, syntax.is_little_endian)
        )
        answer = self._unanswered[assoc, report.MessageID] = _Answer()
        try:
            assoc.dimse.send_msg(report, context.context_id)
            deadline = time.monotonic() + ANSWER_SECONDS
            while assoc.is_established and time.monotonic() < deadline:
                if answer.came.wait(0.1):
                    break
            return answer.status == SUCCESS
        finally:
            del self._unanswered[assoc, report.MessageID]

    def _report_anew(self, job: _Job, verdict: Verdict) -> bool:
        """On an association to where the sender takes reports, when that is known."""
        address = self._settings.commitment_peers.get(job.calling_ae_title)
        if address is None:
            return False
        try:
            return self._send_to(*address, job.calling_ae_title, verdict)
        except (OSError, ValueError) as error:  # no such host; context or role not accepted
            log.warning("commitment_peer_failed", host=address[0], error=type(error).__name__)
            return False

    def _send_to(self, host: str, port: int, ae_title: str, verdict: Verdict) -> bool:
        ae = AE(self._settings.ae_title)
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ANSWER_SECONDS
        ae.add_requested_context(StorageCommitmentPushModel)
        by_tls = self._settings.tls_cert is not None
        assoc = ae.associate(
            host,
            port,
            ae_title=ae_title,
            # PS3.4 J.3.3: the SCP proposes its role, for it is the requestor here.
            ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
            tls_args=(client_context(self._settings.tls), host) if by_tls else None,
        )
        if not assoc.is_established:
            return False
        try:
            status, _ = assoc.send_n_event_report(
                verdict.to_data_set(),
                verdict.event_type,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )
        finally:
            assoc.release()
        return bool(status.get("Status", None) == SUCCESS)


@dataclass(slots=True)
class _Answer:
    """The response that one report waits for."""

    came: threading.Event = field(default_factory=threading.Event)
    status: int | None = None
