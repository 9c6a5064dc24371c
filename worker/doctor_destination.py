"""Is a destination ready for our results? Asked without leaving an object behind."""

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom.sop_class import StorageCommitmentPushModel

from worker import dicomweb, dimse
from worker.check import Check, without_password
from worker.outcomes import Accepted, Outcome, Refused
from worker.settings import (
    Destination,
    DicomwebDestination,
    DimseDestination,
    WorkerSettings,
)

SR_SOP_CLASSES = {
    "comprehensive3d": Comprehensive3DSRStorage,
    "comprehensive": ComprehensiveSRStorage,
}
REACH = "check host, port and firewall of the destination"


def check_destination(destination: Destination, settings: WorkerSettings) -> Check:
    """Does it talk with us, and does it take what we send?"""
    if isinstance(destination, DimseDestination):
        return _check_dimse(destination, settings)
    return _check_dicomweb(destination, settings)


def _check_dimse(destination: DimseDestination, settings: WorkerSettings) -> Check:
    name = f"destination {destination.name}"
    where = f"C-ECHO {destination.ae_title}@{destination.host}:{destination.port}"
    offered = [
        *SR_SOP_CLASSES.values(),
        SecondaryCaptureImageStorage,
        dimse.FIND,
        StorageCommitmentPushModel,
        *([ParametricMapStorage] if settings.parametric_map else []),
    ]
    probe = dimse.probe(destination, offered, ae_title=settings.ae_title, tls=settings.tls)
    if not isinstance(probe.outcome, Accepted):
        refused = isinstance(probe.outcome, Refused)
        enter = f"enter our AE title {settings.ae_title} at the PACS, and its own title here"
        return _failed(name, where, probe.outcome, enter if refused else REACH)
    wanted = [SR_SOP_CLASSES[settings.sr_sop_class], SecondaryCaptureImageStorage]
    if settings.parametric_map:
        wanted.append(ParametricMapStorage)
    refused_classes = [uid for uid in wanted if uid not in probe.accepted]
    confirmation = (
        f"does not answer C-FIND: deliveries stay at sent until {settings.ae_title} may query"
        if probe.silent
        else _confirmation(destination, probe.accepted)
    )
    detail = f"{where}: {probe.outcome.status}; {confirmation}"
    remedies = []
    if refused_classes:
        names = " and ".join(UID(uid).name for uid in refused_classes)
        detail += f"; refuses {names}"
        remedies.append(_remedy(refused_classes, probe.accepted, settings))
    else:
        detail += "; takes SR and SC"
    commits = _commits(destination, probe.accepted) and not probe.silent
    if commits and not settings.may_call(destination.ae_title):
        # PS3.4 J.3.3: it may report later, on an association that it requests itself.
        detail += "; its late reports of Storage Commitment would be rejected here"
        remedies.append(
            f"add {destination.ae_title} to OSTEOSCREEN_ALLOWED_CALLING_AETS and start the"
            f' Storage SCP again, or set "commitment": false for {destination.name}'
        )
    return Check(name, not remedies, detail, "; ".join(remedies))


def _commits(destination: DimseDestination, accepted: frozenset[str]) -> bool:
    return destination.commitment and StorageCommitmentPushModel in accepted


def _confirmation(destination: DimseDestination, accepted: frozenset[str]) -> str:
    if _commits(destination, accepted):
        return "confirms by Storage Commitment"
    if dimse.FIND in accepted:
        return "confirms by C-FIND"
    return "confirms nothing: deliveries stay at sent"


def _remedy(refused: list[UID], accepted: frozenset[str], settings: WorkerSettings) -> str:
    classes = ", ".join(f"{uid.name} ({uid})" for uid in refused)
    remedy = f"have the PACS accept from {settings.ae_title}: {classes}"
    others = [
        name
        for name, uid in SR_SOP_CLASSES.items()
        if uid in accepted and SR_SOP_CLASSES[settings.sr_sop_class] in refused
    ]
    if others:
        remedy += f"; or send the report as it takes it: OSTEOSCREEN_SR_SOP_CLASS={others[0]}"
    return remedy


def _check_dicomweb(destination: DicomwebDestination, settings: WorkerSettings) -> Check:
    name = f"destination {destination.name}"
    where = without_password(destination.root)
    asked = dicomweb.search_qido_rs(destination, tls=settings.tls)
    if not isinstance(asked, Accepted):
        refused = isinstance(asked, Refused)
        remedy = "check url and token of the destination" if refused else REACH
        return _failed(name, f"QIDO-RS {where}", asked, remedy)
    stored = dicomweb.probe_stow_rs(destination, tls=settings.tls)
    if not isinstance(stored, Accepted):
        remedy = "let the token store objects (STOW-RS), or name another url"
        return _failed(name, f"STOW-RS {where}", stored, remedy)
    return Check(name, True, f"{where}: answers QIDO-RS, takes STOW-RS")


def _failed(name: str, where: str, outcome: Outcome, remedy: str) -> Check:
    text = "" if isinstance(outcome, Accepted) else f", {outcome.text}"
    return Check(name, False, f"{where}: {outcome.status}{text}", remedy)
