"""Send reports of Storage Commitment to the senders (N-EVENT-REPORT, PS3.4 J.3.3).

First on the association of the request while it is open, then on a new one where
``COMMITMENT_PEERS`` has the address of the sender. Requests are kept in memory: a sender that
receives no report repeats its request, as the standard requires. Each sender has at most one
report under way, so that one that does not answer delays its own reports only.
"""

import itertools
import threading
import time
from dataclasses import dataclass, field
from io import BytesIO

from pynetdicom import Association, build_role
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from common import supervised
from common.dicomnet.address import DimsePeer
from common.dicomnet.association import NoAssociation, Requestor, associated
from common.dicomnet.status import SUCCESS
from common.logging import get_logger
from common.settings.storescp import StoreScpSettings
from common.tls import Tls
from storescp.commitment.request import CommitmentRequest, CommitmentResult, commit_result

FIRST_DELAY_SECONDS = 0.2  # the response to the N-ACTION must be sent first
RETRY_SECONDS = (1.0, 10.0, 60.0, 600.0)
ANSWER_SECONDS = 10.0
REPORT_SECONDS = 30.0
"""Time limit of a report on a new association."""
MAX_WAITING = 1000
MAX_SENDERS = 32
"""Senders with a report under way; each has a thread for its duration."""

log = get_logger(__name__)


@dataclass(slots=True, order=True)
class _Job:
    due: float
    number: int
    assoc: Association = field(compare=False)
    calling_ae_title: str = field(compare=False)
    request: CommitmentRequest = field(compare=False)
    attempts: int = field(default=0, compare=False)

    @property
    def sender(self) -> tuple[str, str]:
        """The AE title and the address of the request."""
        return self.calling_ae_title, str(self.assoc.requestor.address)


class CommitmentReporter(threading.Thread):
    """One per server. Association threads only hand over requests and responses."""

    def __init__(self, settings: StoreScpSettings) -> None:
        super().__init__(name="commitment reporter", daemon=True)
        self._settings = settings
        self._reporting: set[tuple[str, str]] = set()
        self._jobs: list[_Job] = []
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._stopping = False
        self._responses: dict[tuple[Association, int], _Response] = {}

    def add(
        self, assoc: Association, calling_ae_title: str, request: CommitmentRequest
    ) -> bool:
        """Queue a request; False when the queue is full."""
        with self._changed:
            if len(self._jobs) >= MAX_WAITING:
                return False
            due = time.monotonic() + FIRST_DELAY_SECONDS
            job = _Job(due, next(self._numbers), assoc, calling_ae_title, request)
            self._jobs.append(job)
            self._changed.notify()
        return True

    def responded(self, assoc: Association, message_id: int, status: int) -> None:
        """Take an N-EVENT-REPORT-RSP that came on the association of a request."""
        response = self._responses.get((assoc, message_id))
        if response is not None:
            response.status = status
            response.received.set()

    def stop(self) -> None:
        """End; reports under way end with the process."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def run(self) -> None:
        """Start the reports that are due until ``stop``."""
        while (job := self._next()) is not None:
            threading.Thread(
                target=self._report_or_log, args=(job,), name="commitment report", daemon=True
            ).start()

    def _next(self) -> _Job | None:
        """Wait for a job of a sender without a report under way; None after ``stop``."""
        with self._changed:
            while not self._stopping:
                job = self._first_free()
                now = time.monotonic()
                if job is not None and job.due <= now:
                    self._jobs.remove(job)
                    self._reporting.add(job.sender)
                    return job
                self._changed.wait(None if job is None else job.due - now)
            return None

    def _first_free(self) -> _Job | None:
        if len(self._reporting) >= MAX_SENDERS:
            return None
        return min(
            (one for one in self._jobs if one.sender not in self._reporting), default=None
        )

    def _report_or_log(self, job: _Job) -> None:
        """Report; no exception ends the thread silently."""
        try:
            self._report(job)
        except Exception:
            log.exception("commitment_failed")
        finally:
            with self._changed:
                self._reporting.discard(job.sender)
                self._changed.notify()

    def _report(self, job: _Job) -> None:
        result = commit_result(self._settings.spool_dir, job.request)
        fields = {
            "transaction_uid": result.transaction_uid,
            "calling_ae_title": job.calling_ae_title,
            "committed": len(result.committed),
            "failed": len(result.failed),
        }
        if self._report_on(job.assoc, result) or self._report_to_peer(job, result):
            log.info("commitment_reported", **fields)
            return
        if job.attempts == len(RETRY_SECONDS):
            log.warning("commitment_not_reported", **fields)
            return
        job.due = time.monotonic() + RETRY_SECONDS[job.attempts]
        job.attempts += 1
        with self._changed:
            self._jobs.append(job)

    def _report_on(self, assoc: Association, result: CommitmentResult) -> bool:
        """Report on the association of the request; return whether it was accepted.

        The association serves other messages meanwhile. ``send_n_event_report`` cannot be used:
        it pauses the thread of the association.
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
        report.EventTypeID = result.event_type
        report.EventInformation = BytesIO(
            encode(result.to_data_set(), syntax.is_implicit_VR, syntax.is_little_endian)
        )
        response = self._responses[assoc, report.MessageID] = _Response()
        try:
            assoc.dimse.send_msg(report, context.context_id)
            deadline = time.monotonic() + ANSWER_SECONDS
            while assoc.is_established and time.monotonic() < deadline:
                if response.received.wait(0.1):
                    break
            return response.status == SUCCESS
        finally:
            del self._responses[assoc, report.MessageID]

    def _report_to_peer(self, job: _Job, result: CommitmentResult) -> bool:
        """Report on a new association to the configured address, if there is one."""
        address = self._settings.commitment_peers.get(job.calling_ae_title)
        if address is None:
            return False
        host, port = address
        by_tls = self._settings.tls_cert is not None
        peer = DimsePeer.model_construct(
            kind="dimse", ae_title=job.calling_ae_title, host=host, port=port, tls=by_tls
        )
        own = (self._settings.ae_title, self._settings.tls)
        try:
            return supervised.call(send_report, peer, *own, result, seconds=REPORT_SECONDS)
        except supervised.DeadlineExceeded:
            error = f"no answer within {REPORT_SECONDS:g} s"
        except supervised.ChildEnded:
            error = "the process of the report ended"
        log.warning("commitment_peer_failed", host=host, error=error)
        return False


def send_report(peer: DimsePeer, ae_title: str, tls: Tls, result: CommitmentResult) -> bool:
    """Report on a new association; return whether the peer accepted the report.

    Runs in a child process.
    """
    try:
        with associated(
            peer,
            [StorageCommitmentPushModel],
            Requestor(ae_title, tls),
            # PS3.4 J.3.3: the SCP proposes its role, since it is the requestor here.
            negotiation=[build_role(StorageCommitmentPushModel, scp_role=True)],
            answer_seconds=ANSWER_SECONDS,
        ) as assoc:
            response, _ = assoc.send_n_event_report(
                result.to_data_set(),
                result.event_type,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )
    except NoAssociation as error:
        log.warning("commitment_peer_failed", host=peer.host, error=error.text)
        return False
    except ValueError as error:  # context or role not accepted
        log.warning("commitment_peer_failed", host=peer.host, error=type(error).__name__)
        return False
    return bool(response.get("Status", None) == SUCCESS)


@dataclass(slots=True)
class _Response:
    """The response to one report."""

    received: threading.Event = field(default_factory=threading.Event)
    status: int | None = None
