"""An association as a requestor, by TLS where it is wanted; why there is none, in words."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, Association, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ

from db.tls import Tls, client_context
from peers.address import DimsePeer
from peers.checkpoint import guard

CONNECTION_SECONDS = 10.0
ANSWER_SECONDS = 60.0
TRANSFER_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
PENDING = frozenset({0xFF00, 0xFF01})

# Where there is no status, this is written in its place.
NO_CONNECTION, NO_CONTEXT = "no connection", "no context"

# PS3.8 Table 9-21: result 1 rejects for good, 2 for now; (source, reason) says why.
REJECTED_PERMANENT = 1
REJECTIONS = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "our AE title is not known there",
    (1, 7): "the called AE title is not known there",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}

Handlers = Sequence[tuple[Any, ...]]


class NoAssociation(Exception):
    """The association was not established. ``permanent`` : it never will be, as it is."""

    def __init__(self, status: str, text: str, *, permanent: bool = False) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.permanent = permanent


class NoAnswer(Exception):
    """A question was not answered: the peer has ended the association, or keeps silent.

    Nothing may be asked after it: pynetdicom learns late that the peer has gone, and waits for
    each further answer to its time-out.
    """


@contextmanager
def associated(
    peer: DimsePeer,
    sop_classes: Sequence[str],
    *,
    ae_title: str,
    tls: Tls,
    handlers: Handlers = (),
    answer_seconds: float = ANSWER_SECONDS,
) -> Iterator[Association]:
    """An established association, released at the end; raises NoAssociation.

    ``handlers`` : (event, function) as pynetdicom takes them. ``answer_seconds`` : how long
    an answer is waited for.
    """
    ae = AE(ae_title=ae_title)
    ae.connection_timeout = min(CONNECTION_SECONDS, answer_seconds)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = answer_seconds
    for sop_class in sop_classes:
        # Each in a context of its own: pynetdicom converts to what is accepted.
        ae.add_requested_context(sop_class, TRANSFER_SYNTAXES)
    rejections: list[A_ASSOCIATE_RJ] = []
    try:
        assoc = ae.associate(
            peer.host,
            peer.port,
            ae_title=peer.ae_title,
            tls_args=(client_context(tls), peer.host) if peer.tls else None,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _send_at_once),
                (evt.EVT_PDU_RECV, _keep_rejection, [rejections]),
                *handlers,
            ],
        )
    except (OSError, UnicodeError) as error:
        # The host has no address (an impossible name: UnicodeError), or our TLS files are bad.
        problem = getattr(error, "strerror", None) or type(error).__name__
        raise NoAssociation(NO_CONNECTION, problem) from None
    if not assoc.is_established:
        raise _why_not(assoc, rejections, by_tls=peer.tls)
    guard(assoc)
    connection = assoc.dul.socket.socket
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()
        if connection is not None:
            connection.close()  # where the peer has gone, pynetdicom leaves it to the collector


def accepts(assoc: Association, sop_class: str) -> bool:
    """Whether the other side has accepted a context of this class."""
    return any(context.abstract_syntax == sop_class for context in assoc.accepted_contexts)


def find(
    assoc: Association, model: str, keys: Mapping[str, Any], *, level: str
) -> tuple[list[Dataset], bool]:
    """What C-FIND lists (PS3.4 C.4.1), and whether it came to a good end; raises NoAnswer."""
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    answers: list[Dataset] = []
    ended = False
    for status, answer in assoc.send_c_find(query, model):
        if "Status" not in status:
            raise NoAnswer("C-FIND")
        if status.Status in PENDING and answer is not None:
            answers.append(answer)
        ended = status.Status == 0x0000
    return answers, ended


def _send_at_once(event: evt.Event) -> None:
    # Nagle's algorithm and delayed ACKs together cost 40 ms for each message.
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _keep_rejection(event: evt.Event, rejections: list[A_ASSOCIATE_RJ]) -> None:
    # Not assoc.is_rejected: a peer that rejects at once is sometimes taken for one that does
    # not answer (pynetdicom 3.0.4: ACSE looks at the state machine after it is idle again).
    if isinstance(event.pdu, A_ASSOCIATE_RJ):
        rejections.append(event.pdu)


def _why_not(
    assoc: Association, rejections: Sequence[A_ASSOCIATE_RJ], *, by_tls: bool
) -> NoAssociation:
    if not rejections:
        if assoc.acceptor.primitive is not None:
            text = "none of our SOP classes is accepted"
            return NoAssociation(NO_CONTEXT, text, permanent=True)
        how = ", or one does not trust the other's certificate" if by_tls else ""
        return NoAssociation(NO_CONNECTION, f"nobody answers at this host and port{how}")
    pdu = rejections[0]
    result, source, reason = pdu.result, pdu.source, pdu.reason_diagnostic
    return NoAssociation(
        f"A-ASSOCIATE-RJ {result}/{source}/{reason}",
        REJECTIONS.get((source, reason), "association rejected"),
        permanent=result == REJECTED_PERMANENT,
    )
