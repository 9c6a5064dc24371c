"""Receive C-STORE without pynetdicom's reactor: fragments go from the socket to the disk.

pynetdicom 3.0 polls each association with two threads, a thousand times a second each, decodes
every PDU into objects and gathers a data set in memory. Here its upper layer still does
negotiation, release, abort, timeouts and every other message. While an association is
established, this module reads the socket instead: it takes a C-STORE-RQ and its data set
fragment by fragment, and the thread that reads them stores and answers them. The thread of the
association is paused meanwhile. Any other message is forwarded to pynetdicom.

It depends on these names of pynetdicom that are not public. ``is_supported`` compares the
version; with another version pynetdicom receives C-STORE itself:

- ``RequestHandler._create_association``, ``Association.set_socket``: an association gets
  ``StreamingDUL`` and ``BufferedAssociationSocket`` before its threads start;
- ``DULServiceProvider._is_transport_event``, called by ``run_reactor`` once a cycle to read,
  and ``_read_pdu_data``, ``_decode_pdu``, ``_recv_pdu``; ``event_queue`` with Evt17 (connection
  closed) and Evt19 (invalid PDU), ``state_machine.current_state``, ``to_provider_queue``
  (primitives to send), ``to_user_queue`` (primitives received), ``_idle_timer``,
  ``_kill_thread``;
- ``Association._reactor_checkpoint``: the thread of the association waits while it is cleared;
  ``_accepted_cx``; ``ACSE.negotiate_association``; ``DIMSEServiceProvider.receive_primitive``.
"""

import time
from collections.abc import Callable

import pynetdicom
from pynetdicom import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext

from common.dicomnet.status import SUCCESS
from common.logging import get_logger
from common.metrics import ASSOCIATIONS
from storescp.association.admission import Rejection, log_rejection
from storescp.association.associate_request import RequestRejected, normalize_request
from storescp.association.buffered_socket import BufferedAssociationSocket, ConnectionLost
from storescp.association.command import BadCommand, Command, encode_response
from storescp.association.foreign_protocol import ForeignProtocol, foreign_protocol
from storescp.association.message_assembler import DataSetSink, MessageAssembler
from storescp.association.pdu import (
    A_ASSOCIATE_RQ,
    P_DATA_TF,
    PDU_HEADER,
    BadPdu,
    encode_command,
    encode_rejection,
)
from storescp.association.pdv_reader import PdvReader
from storescp.association.transfer_rate import TransferRateMonitor, TransferTimeout
from storescp.store.refusal import Refusal

KNOWN_VERSIONS = ("3.0.",)
IDLE, AWAITING_REQUEST, ESTABLISHED, AWAITING_CLOSE = "Sta1", "Sta2", "Sta6", "Sta13"
CONNECTION_CLOSED, INVALID_PDU = "Evt17", "Evt19"
SLACK_BYTES = 64
"""Some senders do not count the headers of PDVs in the length of a PDU."""

BeginStore = Callable[[Association, Command, PresentationContext], DataSetSink]

log = get_logger(__name__)


def is_supported() -> bool:
    """Return whether this module supports the installed version of pynetdicom."""
    return str(pynetdicom.__version__).startswith(KNOWN_VERSIONS)


class StreamingDUL(DULServiceProvider):  # type: ignore[misc] # pynetdicom is untyped
    """pynetdicom's upper layer with its own path for C-STORE; runs in one thread."""

    def __init__(
        self,
        assoc: Association,
        begin_store: BeginStore,
        rate: TransferRateMonitor,
        *,
        max_pdu_bytes: int,
    ) -> None:
        super().__init__(assoc)
        self._begin_store = begin_store
        self._rate = rate
        self._assembler = MessageAssembler(self)
        self._reader = PdvReader(self._assembler, max_pdu_bytes=max_pdu_bytes + SLACK_BYTES)
        self._paused = False

    def run_reactor(self) -> None:
        """Run the thread; at any end of it, discard the message and release all waiters."""
        try:
            super().run_reactor()
        except InvalidEventError as error:
            # The thread of the association had something to send after the peer aborted.
            log.info("association_ended_early", error=str(error))
        except Exception as error:
            # pynetdicom raises on some requests, such as even context IDs. The text may repeat
            # received bytes.
            peer, problem = self.assoc.requestor.address, type(error).__name__
            log.warning("association_broken_off", peer=peer, error=problem)
        finally:
            self._abandon_message()
            if self.socket is not None:
                self.socket.close()
            # Otherwise the thread of the association waits 30 s for a request.
            self.to_user_queue.put(None)

    def begin_store(self, command: Command, context_id: int) -> DataSetSink:
        """Begin a C-STORE and pause the thread of the association."""
        context = self.assoc._accepted_cx.get(context_id)
        if context is None:
            raise BadPdu(f"presentation context {context_id} was not accepted")
        if self.assoc.dimse.msg_queue.empty():
            self._paused = True
            self.assoc._reactor_checkpoint.clear()
        return self._begin_store(self.assoc, command, context)

    def answer_store(self, command: Command, context_id: int, refusal: Refusal | None) -> None:
        """Send a C-STORE-RSP."""
        code, comment = (refusal.status, refusal.comment) if refusal else (SUCCESS, "")
        response = encode_response(command, code, comment)
        limit = self.assoc.requestor.maximum_length or 0
        for pdu in encode_command(response, context_id, max_pdu_length=limit):
            self.socket.send(pdu)
        self._idle_timer.restart()  # the peer was waiting, not idle

    def forward(self, context_id: int, control: int, part: bytes) -> None:
        """Pass another message to pynetdicom, as its state machine does (action DT-2)."""
        self._resume()
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[context_id, bytes([control]) + part]]
        self.assoc.dimse.receive_primitive(primitive)

    def _is_transport_event(self) -> bool:
        """Read in one cycle of the reactor; return whether the state machine has an event."""
        state = self.state_machine.current_state
        if state != ESTABLISHED:
            self._abandon_message()
            if state == IDLE:
                return False  # the event of the new connection comes first
            if state == AWAITING_CLOSE:
                # pynetdicom would decode the rest as PDUs, with one event for each.
                self.socket.drain()
                self.socket.close()
                return True
            if state == AWAITING_REQUEST:
                return self._receive_request()
            return bool(super()._is_transport_event())
        try:
            return self._receive(self.socket)
        except ConnectionLost:
            event = CONNECTION_CLOSED
        except (BadPdu, BadCommand, TransferTimeout) as error:
            self._log_broken_off(str(error))
            event = INVALID_PDU
        self._abandon_message()
        self.event_queue.put(event)
        return True

    def _receive_request(self) -> bool:
        """Wait shortly for a request: pynetdicom would poll a thousand times a second.

        A few hundred connections without a request would then take a whole core.
        """
        try:
            if not (self.socket.received or self.socket.fill()):
                return False
        except ConnectionLost:
            self.event_queue.put(CONNECTION_CLOSED)
        else:
            self._read_pdu_data()
        return True

    def _read_pdu_data(self) -> None:
        """Read a PDU other than P-DATA-TF, as pynetdicom does; log a bad one in one line."""
        try:
            header = bytes(self.socket.recv(PDU_HEADER.size))
            if len(header) < PDU_HEADER.size:
                raise ConnectionLost("closed within the header of a PDU")
            if self.state_machine.current_state == AWAITING_REQUEST:
                if (protocol := foreign_protocol(header)) is not None:
                    self._answer_foreign(protocol)
                    return
            elif foreign_protocol(header) is not None:
                raise BadPdu(f"PDU of unknown type 0x{header[0]:02X}")
            self._accept_pdu(header, self._read_body(header))
        except ConnectionLost:
            self.event_queue.put(CONNECTION_CLOSED)
        except RequestRejected as error:
            self._reject(error.rejection, error.calling_ae_title)
        except BadPdu as error:
            self._log_broken_off(str(error))
            self.event_queue.put(INVALID_PDU)

    def _read_body(self, header: bytes) -> bytes:
        _, length = PDU_HEADER.unpack(header)
        body = bytes(self.socket.recv(length))
        if len(body) < length:
            raise ConnectionLost("closed within a PDU")
        return body

    def _accept_pdu(self, header: bytes, body: bytes) -> None:
        """Decode a PDU and queue its event; raises RequestRejected and BadPdu."""
        pdu = header + body
        is_request = header[0] == A_ASSOCIATE_RQ
        if is_request and self.state_machine.current_state == AWAITING_REQUEST:
            pdu = normalize_request(pdu)
        try:
            decoded, event = self._decode_pdu(bytearray(pdu))
        except Exception as error:
            # pynetdicom raises errors of any class; their text may repeat received bytes.
            raise BadPdu(f"PDU of type {header[0]}: {type(error).__name__}") from None
        self._recv_pdu.put(decoded)
        self.event_queue.put(event)

    def _answer_foreign(self, protocol: ForeignProtocol) -> None:
        """Answer a client of another protocol and close the connection."""
        peer = self.assoc.requestor.address
        log.warning("not_dicom", peer=peer, protocol=protocol.name, remedy=protocol.remedy)
        ASSOCIATIONS.labels("not_dicom").inc()
        if protocol.answer:
            self.socket.send(protocol.answer)
        self.state_machine.current_state = AWAITING_CLOSE

    def _reject(self, rejection: Rejection, calling_ae_title: str) -> None:
        """Answer A-ASSOCIATE-RJ (state machine action AE-6) and close the connection."""
        log_rejection(rejection, calling_ae_title, self.assoc.requestor.address)
        self.socket.send(encode_rejection(rejection.result, rejection.source, rejection.reason))
        self.state_machine.current_state = AWAITING_CLOSE

    def _log_broken_off(self, problem: str) -> None:
        peer = self.assoc.requestor.address
        log.warning("association_broken_off", peer=peer, error=problem)

    def _receive(self, sock: BufferedAssociationSocket) -> bool:
        """Read P-DATA-TF until the peer pauses or pynetdicom must act."""
        reader = self._reader
        while not (self._kill_thread or self.to_provider_queue.queue or self.event_queue.queue):
            if sock.received < reader.needed and not self._wait_for(sock, reader.needed):
                return False
            if reader.at_pdu and sock.peek(1)[0] != P_DATA_TF:
                self._abandon_message()
                self._read_pdu_data()
                return True
            in_fragment = reader.in_fragment
            sock.consume(reader.read(sock.peek(reader.wanted)))
            if in_fragment:
                if not self._assembler.in_message:
                    self._rate.end()
                elif not sock.received:
                    sock.acknowledge()
        return bool(self.event_queue.queue)

    def _wait_for(self, sock: BufferedAssociationSocket, count: int) -> bool:
        """Return whether ``count`` bytes are buffered, after a short wait."""
        while sock.received < count:
            before = sock.received
            if sock.full or not self._assembler.in_message:
                self._assembler.flush()
                sock.rewind()
            # Not paused: the thread of the association may be about to answer a message.
            filled = (self._paused or sock.readable) and sock.fill()
            now = time.monotonic()
            if filled:
                self._rate.add(sock.received - before, now=now)
                self._idle_timer.restart()
            self._rate.check(now=now)
            if not filled:
                if self.idle_timer_expired():
                    self._resume()  # the thread of the association checks the timer and aborts
                return False
        return True

    def _abandon_message(self) -> None:
        """Discard the current message and resume the thread of the association."""
        self._assembler.discard()
        self._reader.reset()
        self._rate.end()
        self._resume()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self.assoc._reactor_checkpoint.set()
