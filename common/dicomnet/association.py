"""Associations as a requestor, with optional TLS, and the reason where one fails."""

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, Association, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ

from common.dicomnet import status
from common.dicomnet.address import DimsePeer
from common.dicomnet.checkpoint import patch_reactor_checkpoint
from common.dicomnet.connection_errors import describe_connection, probe_connection
from common.dicomnet.unknown_items import skip_unknown_items
from common.tls import Tls, client_context

CONNECTION_SECONDS = 10.0
ANSWER_SECONDS = 60.0
TRANSFER_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
PENDING = frozenset({status.PENDING, status.PENDING_OPTIONAL_KEYS_IGNORED})

# Recorded in place of a status where there is none.
NO_CONNECTION, NO_CONTEXT = "no connection", "no context"

NO_ASSOCIATION_ANSWER = "connected, but no answer to the association request"

# PS3.8 Table 9-21: result, and texts by (source, reason).
REJECTED_PERMANENT, REJECTED_TRANSIENT = 1, 2
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
    """The association was not established."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class NoAnswer(Exception):
    """A request got no response: the peer has ended the association, or is silent.

    No request may follow on this association: pynetdicom notices late that the peer has gone,
    and waits for the whole timeout at each further request.
    """


@dataclass(frozen=True, slots=True)
class Requestor:
    """Our side of an association: the calling AE title, and the TLS files."""

    ae_title: str
    tls: Tls


@contextmanager
def associated(
    peer: DimsePeer,
    sop_classes: Sequence[str],
    requestor: Requestor,
    *,
    handlers: Handlers = (),
    negotiation: Sequence[Any] = (),
    answer_seconds: float = ANSWER_SECONDS,
) -> Iterator[Association]:
    """Open an association and release it at the end; raises NoAssociation.

    ``handlers`` : (event, function) as for pynetdicom. ``negotiation`` : items of extended
    negotiation, such as roles. ``answer_seconds`` : timeout of each
    response.
    """
    ae = _make_ae(requestor.ae_title, sop_classes, answer_seconds)
    rejections: list[A_ASSOCIATE_RJ] = []
    try:
        context = client_context(requestor.tls) if peer.tls else None
        assoc = ae.associate(
            peer.host,
            peer.port,
            ae_title=peer.ae_title,
            ext_neg=list(negotiation),
            tls_args=None if context is None else (context, peer.host),
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _set_socket_options),
                (evt.EVT_PDU_RECV, _keep_rejection, [rejections]),
                *handlers,
            ],
        )
    except UnicodeError:
        raise NoAssociation(NO_CONNECTION, "the host name is malformed") from None
    except OSError as error:  # the host name has no address, or a TLS file is bad
        raise NoAssociation(NO_CONNECTION, describe_connection(error)) from None
    if not assoc.is_established:
        raise _why_not(assoc, rejections, peer, context)
    patch_reactor_checkpoint(assoc)
    connection = assoc.dul.socket.socket
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()
        if connection is not None:
            connection.close()  # pynetdicom leaves it open where the peer has gone


def accepts(assoc: Association, sop_class: str) -> bool:
    """Return whether the peer has accepted this SOP class, in a transfer syntax of ours."""
    return any(
        context.abstract_syntax == sop_class and context.transfer_syntax[0] in TRANSFER_SYNTAXES
        for context in assoc.accepted_contexts
    )


def find(
    assoc: Association, model: str, keys: Mapping[str, Any], *, level: str
) -> tuple[list[Dataset], bool]:
    """Send C-FIND (PS3.4 C.4.1); return the matches, and whether it ended with Success.

    Raises NoAnswer.
    """
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    answers: list[Dataset] = []
    ended = False
    for response, answer in assoc.send_c_find(query, model):
        if "Status" not in response:
            raise NoAnswer("C-FIND")
        if response.Status in PENDING and answer is not None:
            answers.append(answer)
        ended = response.Status == status.SUCCESS
    return answers, ended


def _make_ae(ae_title: str, sop_classes: Sequence[str], answer_seconds: float) -> AE:
    ae = AE(ae_title=ae_title)
    ae.connection_timeout = min(CONNECTION_SECONDS, answer_seconds)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = answer_seconds
    for sop_class in sop_classes:
        # One context for both: pynetdicom converts to the transfer syntax that was accepted.
        ae.add_requested_context(sop_class, TRANSFER_SYNTAXES)
    return ae


def _set_socket_options(event: evt.Event) -> None:
    connection = event.assoc.dul.socket.socket
    # Nagle's algorithm and delayed ACKs together cost 40 ms a message.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # pynetdicom removes the timeout: a peer that stops to read, or sends half a PDU, would
    # block the network thread, and with it the end of the association, without limit.
    connection.settimeout(event.assoc.network_timeout)
    skip_unknown_items(event.assoc.dul)


def _keep_rejection(event: evt.Event, rejections: list[A_ASSOCIATE_RJ]) -> None:
    # assoc.is_rejected is unreliable: where a peer rejects immediately, ACSE of pynetdicom
    # 3.0.4 may read the state machine after it is idle again, and report no answer.
    if isinstance(event.pdu, A_ASSOCIATE_RJ):
        rejections.append(event.pdu)


def _why_not(
    assoc: Association,
    rejections: Sequence[A_ASSOCIATE_RJ],
    peer: DimsePeer,
    context: ssl.SSLContext | None,
) -> NoAssociation:
    if rejections:
        pdu = rejections[0]
        source, reason = pdu.source, pdu.reason_diagnostic
        return NoAssociation(
            f"A-ASSOCIATE-RJ {pdu.result}/{source}/{reason}",
            REJECTIONS.get((source, reason), "association rejected"),
        )
    if assoc.acceptor.primitive is not None:
        return NoAssociation(NO_CONTEXT, "none of our SOP classes is accepted")
    problem = probe_connection(peer.host, peer.port, context)
    return NoAssociation(NO_CONNECTION, problem or NO_ASSOCIATION_ANSWER)
