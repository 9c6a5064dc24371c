"""C-STORE and C-ECHO as a service class user (PS3.4 Annexes A and B)."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from db.tls import Tls, client_context
from worker.checkpoint import guard
from worker.outcomes import Accepted, Outcome, Refused, Unreachable, of_status
from worker.settings import DimseDestination

CONNECTION_SECONDS = 10
ANSWER_SECONDS = 60
PENDING = frozenset({0xFF00, 0xFF01})

# Where there is no status, this is written in its place.
NO_CONNECTION, NO_CONTEXT, NO_ANSWER = "no connection", "no context", "no answer"

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


class NoAssociation(Exception):
    """The association was not established; ``outcome`` says whether to try again."""

    def __init__(self, outcome: Refused | Unreachable) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def send_c_store(
    paths: Sequence[Path], destination: DimseDestination, *, ae_title: str, tls: Tls
) -> dict[str, Outcome]:
    """Send all objects over one association; the outcome of each SOP Instance UID.

    What was accepted is looked for by C-FIND where the destination offers it, so that
    ``confirmed`` means: the PACS lists the object.
    """
    objects = [dcmread(path) for path in paths]
    sop_classes = {str(ds.SOPClassUID) for ds in objects}
    wanted = [*sorted(sop_classes), StudyRootQueryRetrieveInformationModelFind]
    try:
        with _association(destination, wanted, ae_title, tls) as assoc:
            outcomes = _store_all(assoc, objects)
            for ds in objects:
                uid = str(ds.SOPInstanceUID)
                outcome = outcomes[uid]
                if isinstance(outcome, Accepted) and _holds(assoc, ds):
                    outcomes[uid] = Accepted(outcome.status, confirmed=True)
            return outcomes
    except NoAssociation as error:
        return {str(ds.SOPInstanceUID): error.outcome for ds in objects}


def send_c_echo(destination: DimseDestination, *, ae_title: str, tls: Tls) -> Outcome:
    """Ask whether the destination talks DICOM with us."""
    try:
        with _association(destination, [Verification], ae_title, tls) as assoc:
            if not _accepted(assoc, Verification):
                return Refused(NO_CONTEXT, "Verification is not accepted")
            status = assoc.send_c_echo()
    except NoAssociation as error:
        return error.outcome
    if "Status" not in status:
        return Unreachable(NO_ANSWER, "the association ended during C-ECHO")
    return of_status(status.Status)


@contextmanager
def _association(
    destination: DimseDestination, sop_classes: Sequence[str], ae_title: str, tls: Tls
) -> Iterator[Association]:
    ae = AE(ae_title=ae_title)
    ae.connection_timeout = CONNECTION_SECONDS
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ANSWER_SECONDS
    for sop_class in sop_classes:
        # Each in a context of its own: pynetdicom converts to what is accepted.
        ae.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    rejections: list[A_ASSOCIATE_RJ] = []
    try:
        assoc = ae.associate(
            destination.host,
            destination.port,
            ae_title=destination.ae_title,
            tls_args=(client_context(tls), destination.host) if destination.tls else None,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _send_at_once),
                (evt.EVT_PDU_RECV, _keep_rejection, [rejections]),
            ],
        )
    except (OSError, UnicodeError) as error:
        # The host has no address (an impossible name: UnicodeError), or our TLS files are bad.
        problem = getattr(error, "strerror", None) or type(error).__name__
        raise NoAssociation(Unreachable(NO_CONNECTION, problem)) from None
    if not assoc.is_established:
        raise NoAssociation(_why_not(assoc, rejections, by_tls=destination.tls))
    guard(assoc)
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()


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
) -> Refused | Unreachable:
    if not rejections:
        if assoc.acceptor.primitive is not None:
            return Refused(NO_CONTEXT, "none of our SOP classes is accepted")
        how = ", or one does not trust the other's certificate" if by_tls else ""
        return Unreachable(NO_CONNECTION, f"nobody answers at this host and port{how}")
    pdu = rejections[0]
    result, source, reason = pdu.result, pdu.source, pdu.reason_diagnostic
    status = f"A-ASSOCIATE-RJ {result}/{source}/{reason}"
    text = REJECTIONS.get((source, reason), "association rejected")
    return (Refused if result == REJECTED_PERMANENT else Unreachable)(status, text)


def _accepted(assoc: Association, sop_class: str) -> bool:
    return any(context.abstract_syntax == sop_class for context in assoc.accepted_contexts)


def _store_all(assoc: Association, objects: Sequence[Dataset]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for ds in objects:
        outcome = _store(assoc, ds)
        outcomes[str(ds.SOPInstanceUID)] = outcome
        if isinstance(outcome, Unreachable) and outcome.status == NO_ANSWER:
            # pynetdicom learns later than we that the peer has gone, and would wait for it.
            break
    lost = Unreachable(NO_ANSWER, "the association ended before this object")
    return {
        str(ds.SOPInstanceUID): outcomes.get(str(ds.SOPInstanceUID), lost) for ds in objects
    }


def _store(assoc: Association, ds: Dataset) -> Outcome:
    if not _accepted(assoc, ds.SOPClassUID):
        return Refused(NO_CONTEXT, f"SOP class {ds.SOPClassUID.name} is not accepted")
    if not assoc.is_established:
        return Unreachable(NO_ANSWER, "the association ended before this object")
    status = assoc.send_c_store(ds)
    if "Status" not in status:
        return Unreachable(NO_ANSWER, "the association ended during C-STORE")
    return of_status(status.Status)


def _holds(assoc: Association, ds: Dataset) -> bool:
    """Whether C-FIND at IMAGE level lists the object (PS3.4 C.4.1)."""
    model = StudyRootQueryRetrieveInformationModelFind
    if not assoc.is_established or not _accepted(assoc, model):
        return False
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(query, keyword, ds[keyword].value)
    found = False
    for status, answer in assoc.send_c_find(query, model):
        pending = "Status" in status and status.Status in PENDING
        found |= pending and answer is not None and answer.SOPInstanceUID == ds.SOPInstanceUID
    return found
