"""Check of a destination, without storing an object there."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from common import supervised
from common.settings.worker import (
    Destination,
    DicomwebDestination,
    DimseDestination,
    WorkerSettings,
)
from worker.delivery import store_scu, stow_client
from worker.delivery.commitment_scu import COMMITMENT
from worker.delivery.result import DEADLINE, Accepted, Outcome, Refused, Unreachable
from worker.diagnostics.diagnostic import Diagnostic, without_password
from worker.diagnostics.remedies import remedy_of

T = TypeVar("T")

SR_SOP_CLASSES = {
    "comprehensive3d": Comprehensive3DSRStorage,
    "comprehensive": ComprehensiveSRStorage,
}
PROBE_SECONDS = 90.0


def check_destination(destination: Destination, settings: WorkerSettings) -> Diagnostic:
    """Check that a destination answers and accepts what the worker sends."""
    if isinstance(destination, DimseDestination):
        return _check_dimse(destination, settings)
    return _check_dicomweb(destination, settings)


def _check_dimse(destination: DimseDestination, settings: WorkerSettings) -> Diagnostic:
    name = f"destination {destination.name}"
    where = f"C-ECHO {destination.ae_title}@{destination.host}:{destination.port}"
    probe = _in_time(
        store_scu.probe,
        destination,
        _offered(settings),
        otherwise=store_scu.Probe,
        ae_title=settings.ae_title,
        tls=settings.tls,
    )
    if not isinstance(probe.outcome, Accepted):
        return _failed(name, where, probe.outcome, settings)
    confirmation = (
        f"does not answer C-FIND: deliveries stay at sent until {settings.ae_title} may query"
        if probe.silent
        else _confirmation(destination, probe.accepted)
    )
    detail = f"{where}: {probe.outcome.status}; {confirmation}"
    remedies = []
    if refused_classes := [uid for uid in _wanted(settings) if uid not in probe.accepted]:
        names = " and ".join(UID(uid).name for uid in refused_classes)
        detail += f"; refuses {names}"
        remedies.append(_remedy(refused_classes, probe.accepted, settings))
    else:
        detail += "; takes SR and SC, and rejection notes"
    commits = _commits(destination, probe.accepted) and not probe.silent
    if commits and not settings.may_call(destination.ae_title):
        # PS3.4 J.3.3: the destination may report later, on an association of its own.
        detail += "; its late reports of Storage Commitment would be rejected here"
        remedies.append(
            f"add {destination.ae_title} to OSTEOSCREEN_ALLOWED_CALLING_AETS and start the"
            f' Storage SCP again, or set "commitment": false for {destination.name}'
        )
    return Diagnostic(name, not remedies, detail, "; ".join(remedies))


def _offered(settings: WorkerSettings) -> list[UID]:
    """Return the SOP classes that are proposed: of all SRs, and of queries."""
    return [
        *SR_SOP_CLASSES.values(),
        SecondaryCaptureImageStorage,
        KeyObjectSelectionDocumentStorage,
        store_scu.FIND,
        COMMITMENT,
        *([ParametricMapStorage] if settings.parametric_map else []),
    ]


def _wanted(settings: WorkerSettings) -> list[UID]:
    """Return the SOP classes of the objects that the worker sends."""
    return [
        SR_SOP_CLASSES[settings.sr_sop_class],
        SecondaryCaptureImageStorage,
        KeyObjectSelectionDocumentStorage,  # of rejection notes
        *([ParametricMapStorage] if settings.parametric_map else []),
    ]


def _commits(destination: DimseDestination, accepted: frozenset[str]) -> bool:
    return destination.commitment and COMMITMENT in accepted


def _confirmation(destination: DimseDestination, accepted: frozenset[str]) -> str:
    if _commits(destination, accepted):
        return "confirms by Storage Commitment"
    if store_scu.FIND in accepted:
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


def _check_dicomweb(destination: DicomwebDestination, settings: WorkerSettings) -> Diagnostic:
    name = f"destination {destination.name}"
    where = without_password(destination.root)
    searched = _in_time(
        stow_client.search_qido_rs, destination, otherwise=_same, tls=settings.tls
    )
    if not isinstance(searched, Accepted):
        return _failed(name, f"QIDO-RS {where}", searched, settings)
    stored = _in_time(stow_client.probe_stow_rs, destination, otherwise=_same, tls=settings.tls)
    if not isinstance(stored, Accepted):
        return _failed(name, f"STOW-RS {where}", stored, settings)
    return Diagnostic(name, True, f"{where}: answers QIDO-RS, takes STOW-RS")


def _in_time(
    probe: Callable[..., T], *args: Any, otherwise: Callable[[Unreachable], T], **options: Any
) -> T:
    """Return the answer of a probe, or ``otherwise`` of the reason why there is none."""
    try:
        return supervised.call(probe, *args, seconds=PROBE_SECONDS, **options)
    except supervised.DeadlineExceeded:
        return otherwise(
            Unreachable(DEADLINE, f"no complete answer within {PROBE_SECONDS:g} s")
        )
    except supervised.ChildEnded:
        return otherwise(Unreachable("no answer", "the process of the query ended"))


def _same(outcome: Outcome) -> Outcome:
    return outcome


def _failed(
    name: str, where: str, outcome: Refused | Unreachable, settings: WorkerSettings
) -> Diagnostic:
    detail = f"{where}: {outcome.status}, {outcome.text}"
    return Diagnostic(name, False, detail, remedy_of(outcome, settings))
