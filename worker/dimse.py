"""C-STORE and C-ECHO as a service class user (PS3.4 Annexes A and B)."""

from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from db.tls import Tls
from peers.association import NO_CONTEXT, NoAssociation, accepts, associated, find
from worker.outcomes import Accepted, Outcome, Refused, Unreachable, of_status
from worker.settings import DimseDestination

NO_ANSWER = "no answer"  # written where there is no status


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
        with associated(destination, wanted, ae_title=ae_title, tls=tls) as assoc:
            outcomes = _store_all(assoc, objects)
            for ds in objects:
                uid = str(ds.SOPInstanceUID)
                outcome = outcomes[uid]
                if isinstance(outcome, Accepted) and _holds(assoc, ds):
                    outcomes[uid] = Accepted(outcome.status, confirmed=True)
            return outcomes
    except NoAssociation as error:
        return {str(ds.SOPInstanceUID): of_no_association(error) for ds in objects}


def send_c_echo(destination: DimseDestination, *, ae_title: str, tls: Tls) -> Outcome:
    """Ask whether the destination talks DICOM with us."""
    try:
        with associated(destination, [Verification], ae_title=ae_title, tls=tls) as assoc:
            if not accepts(assoc, Verification):
                return Refused(NO_CONTEXT, "Verification is not accepted")
            status = assoc.send_c_echo()
    except NoAssociation as error:
        return of_no_association(error)
    if "Status" not in status:
        return Unreachable(NO_ANSWER, "the association ended during C-ECHO")
    return of_status(status.Status)


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


def _holds(assoc: Association, ds: Dataset) -> bool:
    """Whether C-FIND at IMAGE level lists the object (PS3.4 C.4.1)."""
    model = StudyRootQueryRetrieveInformationModelFind
    if not assoc.is_established or not accepts(assoc, model):
        return False
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    keys = {keyword: ds[keyword].value for keyword in keywords}
    answers, _ = find(assoc, model, keys, level="IMAGE")
    return any(answer.get("SOPInstanceUID") == ds.SOPInstanceUID for answer in answers)


def of_no_association(error: NoAssociation) -> Refused | Unreachable:
    """The outcome that it means for every object."""
    return (Refused if error.permanent else Unreachable)(error.status, error.text)
