"""C-STORE past pynetdicom's reactor: data set fragments go from the socket to the disk.

pynetdicom 3.0 polls each association with two threads, a thousand times a second each, decodes
every PDU into objects and gathers a data set in memory. Here its upper layer keeps all that it
does about associations: negotiation, release, abort, time-outs and every other message. Only
while an association is established, what it reads is read here instead: a C-STORE-RQ and its
data set are taken fragment by fragment, stored and answered by the thread that read them, and
the association's own thread is parked meanwhile. Any other message is handed to pynetdicom.

It relies on these names of pynetdicom that are not public; ``is_supported`` compares the
version, and without it everything goes the ordinary way:

- ``RequestHandler._create_association``, ``Association.set_socket``: an association gets our
  ``FastDul`` and ``Wire`` before its threads start;
- ``DULServiceProvider._is_transport_event``, called by ``run_reactor`` once a round to read,
  and ``_read_pdu_data``; ``event_queue`` with Evt17 (connection closed) and Evt19 (invalid
  PDU), ``to_provider_queue`` (something is to be sent), ``to_user_queue`` (something has
  come), ``_idle_timer``, ``_kill_thread``;
- ``Association._reactor_checkpoint``: the association's thread waits while it is cleared;
  ``_accepted_cx``; ``DIMSEServiceProvider.receive_primitive``.
"""

import time
from collections.abc import Callable

import pynetdicom
from pynetdicom import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler

from db.telemetry import get_logger
from storescp.association.assembly import Assembly, Sink
from storescp.association.command import BadCommand, Command, encode_response
from storescp.association.pace import Pace, TooSlow
from storescp.association.pdu import (
    P_DATA_TF,
    PDU_HEADER,
    PDV_HEADER,
    BadPdu,
    Fragment,
    encode_command,
    read_fragment,
)
from storescp.association.wire import ConnectionLost, Wire
from storescp.status import SUCCESS, Refusal

KNOWN_VERSIONS = ("3.0.",)
ESTABLISHED, AWAITING_CLOSE = "Sta6", "Sta13"
CONNECTION_CLOSED, INVALID_PDU = "Evt17", "Evt19"
SLACK_BYTES = 64
"""Some senders do not count the headers of items into the length of a PDU."""

Begin = Callable[[Association, Command, PresentationContext], Sink]

log = get_logger(__name__)


def is_supported() -> bool:
    """Whether the installed pynetdicom is one that this was written for."""
    return str(pynetdicom.__version__).startswith(KNOWN_VERSIONS)


def request_handler(
    begin: Begin, *, max_pdu_bytes: int, stall_seconds: float, min_kb_per_second: float
) -> type[RequestHandler]:
    """What a server makes associations with. ``begin`` is called at each C-STORE-RQ.

    A peer that sends longer PDUs, or more slowly, is aborted.
    """

    class FastRequestHandler(RequestHandler):  # type: ignore[misc] # pynetdicom is untyped
        def _create_association(self) -> Association:
            assoc = super()._create_association()
            pace = Pace(stall_seconds, min_kb_per_second)
            assoc.dul = FastDul(assoc, begin, pace, max_pdu_bytes=max_pdu_bytes)
            # Association's setters hand these on to its DUL.
            assoc.acse_timeout = self.ae.acse_timeout
            assoc.network_timeout = self.ae.network_timeout
            assoc.set_socket(Wire(assoc, self.request, stall_seconds=stall_seconds))
            return assoc

    return FastRequestHandler


class FastDul(DULServiceProvider):  # type: ignore[misc] # pynetdicom is untyped
    """pynetdicom's upper layer with a short cut for C-STORE. One thread runs all of it."""

    def __init__(
        self, assoc: Association, begin: Begin, pace: Pace, *, max_pdu_bytes: int
    ) -> None:
        super().__init__(assoc)
        self._begin = begin
        self._pace = pace
        self._max_pdu_bytes = max_pdu_bytes + SLACK_BYTES
        self._assembly = Assembly(self)
        self._pdu_left = 0
        self._fragment: Fragment | None = None
        self._fragment_left = 0
        self._parked = False

    def run_reactor(self) -> None:
        """The thread. However it ends, nothing half-written stays and nobody waits for it."""
        try:
            super().run_reactor()
        except InvalidEventError as error:
            # The association's thread had something to send to a peer that broke off.
            log.info("association_ended_early", error=str(error))
        except Exception as error:
            # pynetdicom decodes some requests that it cannot hold (even context IDs). The text
            # may repeat what was sent.
            peer, problem = self.assoc.requestor.address, type(error).__name__
            log.warning("association_broken_off", peer=peer, error=problem)
        finally:
            self._let_go()
            if self.socket is not None:
                self.socket.close()
            # Or that thread would wait 30 s for the request of a peer that has gone.
            self.to_user_queue.put(None)

    def begin(self, command: Command, context_id: int) -> Sink:
        """A C-STORE-RQ has come."""
        context = self.assoc._accepted_cx.get(context_id)
        if context is None:
            raise BadPdu(f"presentation context {context_id} was not accepted")
        if self.assoc.dimse.msg_queue.empty():
            self._parked = True
            self.assoc._reactor_checkpoint.clear()
        return self._begin(self.assoc, command, context)

    def answer(self, command: Command, context_id: int, refusal: Refusal | None) -> None:
        """Send a C-STORE-RSP."""
        status, comment = (refusal.status, refusal.comment) if refusal else (SUCCESS, "")
        response = encode_response(command, status, comment)
        limit = self.assoc.requestor.maximum_length or 0
        for pdu in encode_command(response, context_id, max_pdu_length=limit):
            self.socket.send(pdu)
        self._idle_timer.restart()  # it was our turn

    def pass_on(self, context_id: int, control: int, part: bytes) -> None:
        """Any other message is pynetdicom's, as if its state machine had read it (DT-2)."""
        self._unpark()
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[context_id, bytes([control]) + part]]
        self.assoc.dimse.receive_primitive(primitive)

    def _is_transport_event(self) -> bool:
        """A round of the reactor: True when an event waits for the state machine."""
        state = self.state_machine.current_state
        if state != ESTABLISHED:
            self._let_go()
            if state == AWAITING_CLOSE:
                # pynetdicom would take what still comes for PDUs, one event for each.
                self.socket.drain()
                self.socket.close()
                return True
            return bool(super()._is_transport_event())
        try:
            return self._receive(self.socket)
        except ConnectionLost:
            event = CONNECTION_CLOSED
        except (BadPdu, BadCommand, TooSlow) as error:
            peer = self.assoc.requestor.address
            log.warning("association_broken_off", peer=peer, error=str(error))
            event = INVALID_PDU
        self._let_go()
        self.event_queue.put(event)
        return True

    def _receive(self, wire: Wire) -> bool:
        """Take what comes, until there is a pause or something that is not for us."""
        while not (self._kill_thread or self.to_provider_queue.queue or self.event_queue.queue):
            if self._fragment is not None:
                if not self._take_part(wire, self._fragment):
                    return False
            elif self._pdu_left:
                if not self._take_fragment_header(wire):
                    return False
            elif not self._has(wire, PDU_HEADER.size):
                return False
            elif not self._take_pdu_header(wire):
                self._let_go()
                self._read_pdu_data()
                return True
        return bool(self.event_queue.queue)

    def _has(self, wire: Wire, count: int) -> bool:
        """Whether so many bytes are there; waits for a moment."""
        while wire.received < count:
            before = wire.received
            if wire.full or not self._assembly.begun:
                self._assembly.flush()
                wire.rewind()
            # Not parked: the association's thread may be about to answer something.
            filled = (self._parked or wire.readable) and wire.fill()
            now = time.monotonic()
            if filled:
                self._pace.add(wire.received - before, now=now)
                self._idle_timer.restart()
            self._pace.check(now=now)
            if not filled:
                if self.idle_timer_expired():
                    self._unpark()  # that thread looks at the timer, too, and aborts
                return False
        return True

    def _take_pdu_header(self, wire: Wire) -> bool:
        """Go on behind the header of a P-DATA-TF PDU; False when it is another one's."""
        kind, length = PDU_HEADER.unpack(wire.peek(PDU_HEADER.size))
        if kind != P_DATA_TF:
            return False
        if length > self._max_pdu_bytes:
            raise BadPdu(f"P-DATA-TF PDU of {length} bytes, more than was agreed")
        wire.consume(PDU_HEADER.size)
        self._pdu_left = length
        return True

    def _take_fragment_header(self, wire: Wire) -> bool:
        if self._pdu_left < PDV_HEADER.size:
            raise BadPdu(f"{self._pdu_left} bytes behind the last item of a P-DATA-TF PDU")
        if not self._has(wire, PDV_HEADER.size):
            return False
        fragment = read_fragment(wire.peek(PDV_HEADER.size), self._pdu_left)
        self._assembly.check(fragment)
        wire.consume(PDV_HEADER.size)
        self._pdu_left -= PDV_HEADER.size
        self._fragment, self._fragment_left = fragment, fragment.length
        return True

    def _take_part(self, wire: Wire, fragment: Fragment) -> bool:
        """Take what is there of a fragment."""
        if self._fragment_left and not self._has(wire, 1):
            return False
        part = wire.peek(min(self._fragment_left, wire.received))
        self._fragment_left -= len(part)
        self._pdu_left -= len(part)
        wire.consume(len(part))
        ended = not self._fragment_left
        if ended:
            self._fragment = None
        self._assembly.add(fragment, part, last=ended and fragment.is_last)
        if not self._assembly.begun:
            self._pace.end()
        elif not wire.received:
            wire.acknowledge()
        return True

    def _let_go(self) -> None:
        """No message will come to its end by us."""
        self._assembly.discard()
        self._pace.end()
        self._pdu_left, self._fragment = 0, None
        self._unpark()

    def _unpark(self) -> None:
        if self._parked:
            self._parked = False
            self.assoc._reactor_checkpoint.set()
