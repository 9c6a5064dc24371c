"""C-STORE and C-ECHO as a service class user (PS3.4 Annexes A and B)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydicom import Dataset, dcmread
from pynetdicom import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from common.dicomnet.association import (
    ANSWER_SECONDS,
    NO_CONTEXT,
    NoAnswer,
    NoAssociation,
    Requestor,
    accepts,
    associated,
    find,
)
from common.dicomnet.commitment import new_transaction_uid
from common.logging import get_logger
from common.settings.worker import DimseDestination
from common.tls import Tls
from worker.delivery.commitment_scu import CommitmentReports, request_commitment
from worker.delivery.result import Accepted, Outcome, Refused, Unreachable, of_status

FIND = StudyRootQueryRetrieveInformationModelFind
KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
NO_ANSWER = "no answer"  # recorded where there is no status
REPORT_SECONDS = 5.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest waits of a delivery: for each response, and for the report of commitment."""

    answer_seconds: float = ANSWER_SECONDS
    report_seconds: float = REPORT_SECONDS


def send_c_store(
    paths: Sequence[Path],
    destination: DimseDestination,
    *,
    ae_title: str,
    tls: Tls,
    reports: CommitmentReports,
    timeouts: Timeouts = Timeouts(),
) -> dict[str, Outcome]:
    """Send all objects over one association; return outcomes by SOP Instance UID.

    Accepted objects are confirmed by C-FIND and by Storage Commitment, if the destination
    offers them. The commitment report is only waited for if C-FIND did not confirm every
    object. ``reports`` keeps each report that arrives on the association.
    """
    objects = [dcmread(path) for path in paths]
    wanted = [*sorted({str(ds.SOPClassUID) for ds in objects}), FIND]
    if destination.commitment:
        wanted.append(StorageCommitmentPushModel)
    try:
        with associated(
            destination,
            wanted,
            Requestor(ae_title, tls),
            handlers=reports.handlers,
            answer_seconds=timeouts.answer_seconds,
        ) as assoc:
            outcomes = _send_all(assoc, objects, reports, timeouts.report_seconds)
            reports.wait(0.0)
    except NoAssociation as error:
        outcome = _of_no_association(error)
        return {str(ds.SOPInstanceUID): outcome for ds in objects}
    return {uid: reports.apply(uid, outcome) for uid, outcome in outcomes.items()}


@dataclass(frozen=True, slots=True)
class Probe:
    """Answer of a destination to C-ECHO and C-FIND, and the SOP classes it accepts.

    ``accepted`` : empty without an association. ``silent`` : it accepts C-FIND but does not
    answer it.
    """

    outcome: Outcome
    accepted: frozenset[str] = frozenset()
    silent: bool = False


def probe(
    destination: DimseDestination, sop_classes: Sequence[str], *, ae_title: str, tls: Tls
) -> Probe:
    """Negotiate Verification and these SOP classes, send C-ECHO, query a UID not in use."""
    wanted = [Verification, *sop_classes]
    try:
        with associated(destination, wanted, Requestor(ae_title, tls)) as assoc:
            accepted = frozenset(uid for uid in sop_classes if accepts(assoc, uid))
            if not accepts(assoc, Verification):
                return Probe(Refused(NO_CONTEXT, "Verification is not accepted"), accepted)
            status = assoc.send_c_echo()
            if "Status" not in status:
                ended = Unreachable(NO_ANSWER, "the association ended during C-ECHO")
                return Probe(ended, accepted)
            outcome = of_status(status.Status)
            if isinstance(outcome, Accepted) and FIND in accepted:
                _find(assoc, dict.fromkeys(KEYS, new_transaction_uid()))
    except NoAssociation as error:
        return Probe(_of_no_association(error))
    except NoAnswer:
        return Probe(outcome, accepted, silent=True)
    return Probe(outcome, accepted)


class _Outcomes(NamedTuple):
    """Outcomes by SOP Instance UID; ``unanswered`` : the request that got no answer.

    No request may follow an unanswered one (see NoAnswer).
    """

    outcomes: dict[str, Outcome]
    unanswered: str | None = None


def _send_all(
    assoc: Association,
    objects: Sequence[Dataset],
    reports: CommitmentReports,
    report_seconds: float,
) -> dict[str, Outcome]:
    outcomes, unanswered = _store_all(assoc, objects)
    if unanswered is None:
        outcomes, unanswered = _confirm_by_query(assoc, objects, outcomes)
    if unanswered is None:
        # Last: a report that lacks a mandatory element would count as another response.
        unanswered = _commit(assoc, objects, outcomes, reports)
    if unanswered is None and any(one == Accepted(one.status) for one in outcomes.values()):
        reports.wait(report_seconds)
    if unanswered is not None:
        log.warning("destination_did_not_answer", question=unanswered)
    return outcomes


def _store_all(assoc: Association, objects: Sequence[Dataset]) -> _Outcomes:
    """Send one object after the other, up to the first that is not answered."""
    outcomes: dict[str, Outcome] = {
        str(ds.SOPInstanceUID): Unreachable(
            NO_ANSWER, "the association ended before this object"
        )
        for ds in objects
    }
    for ds in objects:
        outcome = outcomes[str(ds.SOPInstanceUID)] = _store(assoc, ds)
        if isinstance(outcome, Unreachable) and outcome.status == NO_ANSWER:
            return _Outcomes(outcomes, "C-STORE")
    return _Outcomes(outcomes)


def _store(assoc: Association, ds: Dataset) -> Outcome:
    if not accepts(assoc, ds.SOPClassUID):
        return Refused(NO_CONTEXT, f"SOP class {ds.SOPClassUID.name} is not accepted")
    if not assoc.is_established:
        return Unreachable(NO_ANSWER, "the association ended before this object")
    status = assoc.send_c_store(ds)
    if "Status" not in status:
        return Unreachable(NO_ANSWER, "the association ended during C-STORE")
    if not _answers(assoc.last_response, ds):
        return Unreachable(NO_ANSWER, "C-STORE was answered by another message")
    return of_status(status.Status)


def _answers(response: object, ds: Dataset) -> bool:
    """Return whether a message is the response to C-STORE of this object.

    pynetdicom takes any response. Affected SOP Instance UID is optional (PS3.7 Table 9.1-1).
    """
    if not isinstance(response, C_STORE):
        return False
    uid = str(response.AffectedSOPInstanceUID or "").strip(" \0")
    return uid in ("", ds.SOPInstanceUID)


def _confirm_by_query(
    assoc: Association, objects: Sequence[Dataset], outcomes: Mapping[str, Outcome]
) -> _Outcomes:
    """Confirm the accepted objects that C-FIND at IMAGE level lists (PS3.4 C.4.1)."""
    confirmed = dict(outcomes)
    if not accepts(assoc, FIND):
        return _Outcomes(confirmed)
    for ds in objects:
        uid = str(ds.SOPInstanceUID)
        outcome = outcomes[uid]
        if not isinstance(outcome, Accepted) or not assoc.is_established:
            continue
        try:
            listed = _find(assoc, {keyword: ds[keyword].value for keyword in KEYS})
        except NoAnswer as error:
            return _Outcomes(confirmed, str(error))
        if uid in listed:
            confirmed[uid] = Accepted(outcome.status, "query")
    return _Outcomes(confirmed)


def _commit(
    assoc: Association,
    objects: Sequence[Dataset],
    outcomes: Mapping[str, Outcome],
    reports: CommitmentReports,
) -> str | None:
    """Request Storage Commitment of the accepted objects.

    Return the name of the request if it was not answered.
    """
    accepted = [ds for ds in objects if isinstance(outcomes[str(ds.SOPInstanceUID)], Accepted)]
    if not (accepted and assoc.is_established and accepts(assoc, StorageCommitmentPushModel)):
        return None
    try:
        reports.requested = request_commitment(assoc, accepted, reports.transaction_uid)
    except NoAnswer as error:
        return str(error)
    return None


def _find(assoc: Association, keys: Mapping[str, str]) -> set[str]:
    """Return the SOP Instance UIDs that match; raises NoAnswer."""
    answers, _ = find(assoc, FIND, keys, level="IMAGE")
    return {str(answer.get("SOPInstanceUID", "")) for answer in answers}


def _of_no_association(error: NoAssociation) -> Refused | Unreachable:
    """Return the outcome of every object when there is no association."""
    if error.status == NO_CONTEXT:
        return Refused(error.status, error.text)  # of the SOP classes of the objects
    return Unreachable(error.status, error.text, blocks_destination=True)
