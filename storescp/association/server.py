"""The Application Entity: what it supports, who may associate, what happens at each event."""

import socket
import threading
import time
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, Association, _config, evt
from pynetdicom.dimse_messages import C_STORE_RQ, N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModelInstance
from pynetdicom.transport import RequestHandler

from db.spool import SpoolWriter
from db.telemetry import (
    ASSOCIATIONS,
    OPEN_ASSOCIATIONS,
    get_logger,
)
from db.tls import server_context
from storescp import status
from storescp.association import fast_path
from storescp.association.admission import (
    LOCAL_LIMIT_EXCEEDED,
    PEER_LIMIT_EXCEEDED,
    TEMPORARY_CONGESTION,
    Rejection,
    check_requestor,
)
from storescp.association.command import Command
from storescp.association.contexts import supported_contexts
from storescp.association.listener import Listener
from storescp.commitment.receipts import Receipts
from storescp.commitment.reporter import Reporter
from storescp.commitment.request import REQUEST_COMMITMENT, read_request
from storescp.operation import Intake, Operation, assoc_id
from storescp.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from storescp.reception import StoreRequest
from storescp.registration.arrivals import Associations
from storescp.settings import StoreScpSettings

MAX_PDU_BYTES = 128 * 1024
REQUIRED = ("AffectedSOPClassUID", "AffectedSOPInstanceUID")
NO_LIMIT = 1_000_000  # ours is in Arrivals: pynetdicom counts threads, also those that end
SHUTDOWN_SECONDS = 7.0  # with what comes after, within the 10 s that Docker gives
ABORT_SECONDS = 0.5

log = get_logger(__name__)


class StorageServer:
    """The Storage SCP on one address; every association has a thread of its own.

    Connections come by ``take``: the process that accepts them may be another one.
    """

    def __init__(
        self,
        settings: StoreScpSettings,
        writer: SpoolWriter,
        arrivals: Associations,
        *,
        receipts: Receipts | None = None,
        fast: bool | None = None,
    ) -> None:
        """``receipts`` : who takes reports of Storage Commitment for what was delivered.
        ``fast`` : by the fast path; by default, where it knows the installed pynetdicom.

        Raises OSError when the TLS files cannot be used.
        """
        self._settings = settings
        self._arrivals = arrivals
        self._intake = Intake(writer, settings, arrivals)
        self._receipts = receipts
        self._fast = fast_path.is_supported() if fast is None else fast
        _config.LOG_HANDLER_LEVEL = "none"  # its handlers format every PDU to log it
        self._ae = AE(settings.ae_title)
        self._ae.maximum_pdu_size = MAX_PDU_BYTES
        self._ae.maximum_associations = NO_LIMIT
        self._ae.network_timeout = settings.idle_seconds
        self._ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self._ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self._listener: Listener | None = None
        self._reporter = Reporter(settings)
        self._tls = (
            None
            if settings.tls_cert is None
            else server_context(settings.tls, client_certificate=settings.must_show_certificate)
        )

    def bind(self) -> None:
        """Bind to the address, not listening yet; raises OSError when that cannot be."""
        self._listener = self._ae.make_server(
            (self._settings.host, self._settings.port),
            contexts=supported_contexts(),
            evt_handlers=[
                (evt.EVT_REQUESTED, self._handle_requested),
                (evt.EVT_C_STORE, self._handle_store),
                (evt.EVT_DIMSE_RECV, self._handle_message),
                (evt.EVT_N_ACTION, self._handle_action),
                *self._report_handlers(),
                (evt.EVT_RELEASED, self._handle_end, [True]),
                (evt.EVT_ABORTED, self._handle_end, [False]),
            ],
            server_class=Listener,
            request_handler=self._request_handler(),
            ssl_context=self._tls,
        )
        self._listener.limit_connections(
            self._settings.max_associations, self._settings.max_associations_per_peer
        )
        self._listener.socket.settimeout(None)

    def listen(self) -> None:
        """Let connections come; raises OSError when the port is taken."""
        self._bound.listen()

    def accept(self) -> tuple[socket.socket, Any]:
        """Wait for a connection; raises OSError, also after ``close_port``."""
        connection, address = self._bound.socket.accept()
        return connection, address

    def start(self) -> None:
        """Begin to report, in the background."""
        self._reporter.start()

    def take(self, connection: socket.socket, address: Any) -> None:
        """Serve a connection in a thread of its own, unless there are too many."""
        self._bound.take(connection, address)

    def tick(self) -> None:
        """Forget associations whose thread ended without an event (a peer that vanished)."""
        self._bound.service_actions()  # now and then, collects what they leave behind
        for assoc in self._arrivals.senders():
            if isinstance(assoc, threading.Thread) and not assoc.is_alive():
                self._end(assoc, released=False)

    def close_port(self) -> None:
        """Accept nobody any more, in no process."""
        self._bound.server_close()

    def leave_port(self) -> None:
        """Let other processes accept; this one does not keep the port open."""
        self._bound.socket.close()

    def stop(self) -> None:
        """Let open associations finish for a while, abort the rest."""
        self._reporter.stop()
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        while self._arrivals.open_associations() and time.monotonic() < deadline:
            time.sleep(0.05)
            self.tick()
        late = [one for one in self._arrivals.senders() if isinstance(one, Association)]
        aborting = [threading.Thread(target=one.abort, daemon=True) for one in late]
        for thread in aborting:
            thread.start()
        for thread in aborting:
            thread.join(max(0.0, deadline + ABORT_SECONDS - time.monotonic()))

    @property
    def _bound(self) -> Listener:
        if self._listener is None:
            raise RuntimeError("not bound")
        return self._listener

    def _report_handlers(self) -> list[tuple[Any, ...]]:
        return [(evt.EVT_N_EVENT_REPORT, self._receipts.take)] if self._receipts else []

    def _request_handler(self) -> Any:
        if not self._fast:
            log.warning("fast_path_off", note="this version of pynetdicom is not known")
            return RequestHandler
        return fast_path.request_handler(
            self._begin_store,
            max_pdu_bytes=MAX_PDU_BYTES,
            stall_seconds=self._settings.stall_seconds,
            min_kb_per_second=self._settings.min_kb_per_second,
        )

    def _handle_requested(self, event: evt.Event) -> None:
        assoc = event.assoc
        calling_ae_title, address = "", assoc.requestor.address
        try:
            calling_ae_title = assoc.requestor.primitive.calling_ae_title.strip()
            rejection = check_requestor(calling_ae_title, address, self._settings)
            if rejection is None:
                rejection = self._enter(assoc, address)
        except Exception:
            # pynetdicom would log it and go on to accept.
            log.exception("admission_failed", peer=address)
            rejection = TEMPORARY_CONGESTION
        if rejection is not None:
            self._reject(assoc, rejection, calling_ae_title, address)
            return
        ASSOCIATIONS.labels("accepted").inc()
        OPEN_ASSOCIATIONS.inc()
        log.info(
            "association_accepted",
            assoc_id=assoc_id(assoc),
            calling_ae_title=calling_ae_title,
            peer=address,
        )

    def _enter(self, assoc: Association, address: str) -> Rejection | None:
        full = self._arrivals.enter(
            assoc,
            address,
            limit=self._settings.max_associations,
            limit_per_peer=self._settings.max_associations_per_peer,
        )
        if full is None:
            return None
        return PEER_LIMIT_EXCEEDED if full == "peer full" else LOCAL_LIMIT_EXCEEDED

    def _reject(
        self, assoc: Association, rejection: Rejection, calling_ae_title: str, address: str
    ) -> None:
        assoc.acse.send_reject(rejection.result, rejection.source, rejection.reason)
        evt.trigger(assoc, evt.EVT_REJECTED, {})
        assoc.kill()  # returns when the answer is sent and the peer has closed
        ASSOCIATIONS.labels(rejection.name).inc()
        log.warning(
            "association_rejected",
            reason=rejection.name,
            calling_ae_title=calling_ae_title,
            peer=address,
        )

    def _handle_store(self, event: evt.Event) -> int | Dataset:
        """The ordinary path: pynetdicom has gathered the data set."""
        request, context = event.request, event.context
        operation = self._intake.begin(
            event.assoc,
            StoreRequest(
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
                abstract_syntax=str(context.abstract_syntax),
                transfer_syntax_uid=str(context.transfer_syntax),
                calling_ae_title=event.assoc.requestor.ae_title.strip(),
            ),
        )
        operation.write(event.encoded_dataset(include_meta=False))
        refusal = operation.finish()
        return status.SUCCESS if refusal is None else refusal.to_data_set()

    def _handle_message(self, event: evt.Event) -> None:
        """What pynetdicom's own thread would drop without a word.

        An answer to a report of ours, and on the ordinary path a C-STORE-RQ without a UID.
        """
        message = event.message
        if isinstance(message, N_EVENT_REPORT_RSP):
            answer = message.command_set
            self._reporter.answered(
                event.assoc, answer.MessageIDBeingRespondedTo, answer.Status
            )
        if not isinstance(message, C_STORE_RQ) or "MessageID" not in message.command_set:
            return
        missing = [one for one in REQUIRED if not message.command_set.get(one)]
        if not missing:
            return
        response = C_STORE()
        response.MessageIDBeingRespondedTo = message.command_set.MessageID
        response.Status = status.INVALID_UID
        response.ErrorComment = f"{missing[0]} is missing"
        event.assoc.dimse.send_msg(response, message.context_id)

    def _handle_action(self, event: evt.Event) -> tuple[int, None]:
        """Storage Commitment is asked for: the report comes later."""
        if event.request.RequestedSOPInstanceUID != StorageCommitmentPushModelInstance:
            return status.NO_SUCH_SOP_INSTANCE, None
        if event.action_type != REQUEST_COMMITMENT:
            return status.NO_SUCH_ACTION, None
        try:
            request = read_request(event.action_information)
        except Exception as error:
            # Whatever pydicom says of bytes that are no data set; the text may repeat them.
            log.warning(
                "commitment_refused",
                assoc_id=assoc_id(event.assoc),
                error=type(error).__name__,
            )
            return status.INVALID_ARGUMENT_VALUE, None
        calling_ae_title = event.assoc.requestor.ae_title.strip()
        if not self._reporter.ask(event.assoc, calling_ae_title, request):
            return status.RESOURCE_LIMITATION, None
        return status.SUCCESS, None

    def _begin_store(
        self, assoc: Association, command: Command, context: PresentationContext
    ) -> Operation:
        """The fast path: the data set is about to come."""
        return self._intake.begin(
            assoc,
            StoreRequest(
                sop_class_uid=command.sop_class_uid,
                sop_instance_uid=command.sop_instance_uid,
                abstract_syntax=str(context.abstract_syntax),
                transfer_syntax_uid=str(context.transfer_syntax[0]),
                calling_ae_title=assoc.requestor.ae_title.strip(),
            ),
        )

    def _handle_end(self, event: evt.Event, released: bool) -> None:
        self._end(event.assoc, released=released)

    def _end(self, assoc: Association, *, released: bool) -> None:
        if not self._arrivals.leave(assoc, released=released):
            return
        outcome = "released" if released else "aborted"
        ASSOCIATIONS.labels(outcome).inc()
        OPEN_ASSOCIATIONS.dec()
        log.info("association_ended", assoc_id=assoc_id(assoc), outcome=outcome)
