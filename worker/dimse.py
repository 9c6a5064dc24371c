"""C-STORE and C-ECHO as a service class user (PS3.4 Annexes A and B)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pynetdicom import Association, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from db.tls import Tls
from peers.association import NO_CONTEXT, NoAssociation, accepts, associated, find
from worker.commitment import REPORT_SECONDS, Reports, request_commitment
from worker.outcomes import Accepted, Outcome, Refused, Unreachable, of_status
from worker.settings import DimseDestination

FIND = StudyRootQueryRetrieveInformationModelFind
NO_ANSWER = "no answer"  # written where there is no status


def send_c_store(
    paths: Sequence[Path],
    destination: DimseDestination,
    *,
    ae_title: str,
    tls: Tls,
    transaction_uid: str,
) -> dict[str, Outcome]:
    """Send all objects over one association; the outcome of each SOP Instance UID.

    What was accepted is looked for by C-FIND, and Storage Commitment is asked for, where the
    destination offers them. Its report is waited for only where C-FIND did not confirm; a
    later one goes to the Storage SCP.
    """
    objects = [dcmread(path) for path in paths]
    wanted = [*sorted({str(ds.SOPClassUID) for ds in objects}), FIND]
    if destination.commitment:
        wanted.append(StorageCommitmentPushModel)
    reports = Reports(transaction_uid)
    try:
        with associated(
            destination,
            wanted,
            ae_title=ae_title,
            tls=tls,
            handlers=[(evt.EVT_N_EVENT_REPORT, reports.take)],
        ) as assoc:
            outcomes = _store_all(assoc, objects)
            _look_for(assoc, objects, outcomes)
            # Last: pynetdicom would take a report for the answer to whatever it asks.
            asked = request_commitment(assoc, objects, outcomes, transaction_uid)
            if asked and any(one == Accepted(one.status) for one in outcomes.values()):
                reports.wait(REPORT_SECONDS)
            return {uid: reports.judge(uid, outcome) for uid, outcome in outcomes.items()}
    except NoAssociation as error:
        return {str(ds.SOPInstanceUID): _of_no_association(error) for ds in objects}


@dataclass(frozen=True, slots=True)
class Probe:
    """What a destination said, and which SOP classes it takes (none without association)."""

    outcome: Outcome
    accepted: frozenset[str] = frozenset()


def probe(
    destination: DimseDestination, sop_classes: Sequence[str], *, ae_title: str, tls: Tls
) -> Probe:
    """Negotiate Verification and these SOP classes, send a C-ECHO and nothing else."""
    wanted = [Verification, *sop_classes]
    try:
        with associated(destination, wanted, ae_title=ae_title, tls=tls) as assoc:
            accepted = frozenset(uid for uid in sop_classes if accepts(assoc, uid))
            if not accepts(assoc, Verification):
                return Probe(Refused(NO_CONTEXT, "Verification is not accepted"), accepted)
            status = assoc.send_c_echo()
    except NoAssociation as error:
        return Probe(_of_no_association(error))
    if "Status" not in status:
        ended = Unreachable(NO_ANSWER, "the association ended during C-ECHO")
        return Probe(ended, accepted)
    return Probe(of_status(status.Status), accepted)


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
    if not accepts(assoc, ds.SOPClassUID):
        return Refused(NO_CONTEXT, f"SOP class {ds.SOPClassUID.name} is not accepted")
    if not assoc.is_established:
        return Unreachable(NO_ANSWER, "the association ended before this object")
    status = assoc.send_c_store(ds)
    if "Status" not in status:
        return Unreachable(NO_ANSWER, "the association ended during C-STORE")
    return of_status(status.Status)


def _look_for(
    assoc: Association, objects: Sequence[Dataset], outcomes: dict[str, Outcome]
) -> None:
    """Note which of the accepted objects C-FIND at IMAGE level lists (PS3.4 C.4.1)."""
    for ds in objects:
        uid = str(ds.SOPInstanceUID)
        outcome = outcomes[uid]
        if not isinstance(outcome, Accepted) or not assoc.is_established:
            continue
        if not accepts(assoc, FIND):
            return
        keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        keys = {keyword: ds[keyword].value for keyword in keywords}
        answers, _ = find(assoc, FIND, keys, level="IMAGE")
        if any(answer.get("SOPInstanceUID") == ds.SOPInstanceUID for answer in answers):
            outcomes[uid] = Accepted(outcome.status, "query")


def _of_no_association(error: NoAssociation) -> Refused | Unreachable:
    """The outcome that it means for every object."""
    return (Refused if error.permanent else Unreachable)(error.status, error.text)
