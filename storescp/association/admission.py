"""Admission of associations: calling AE titles, peer addresses, and A-ASSOCIATE-RJ."""

import ipaddress
from dataclasses import dataclass

from common.dicomnet.association import REJECTED_PERMANENT, REJECTED_TRANSIENT
from common.logging import get_logger
from common.metrics import ASSOCIATIONS
from common.settings.storescp import StoreScpSettings

# PS3.8 Table 9-21: source
SERVICE_USER = 1
SERVICE_PROVIDER_ACSE = 2
SERVICE_PROVIDER_PRESENTATION = 3

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rejection:
    """An A-ASSOCIATE-RJ (PS3.8 Table 9-21). ``name`` : for log and metric."""

    result: int
    source: int
    reason: int
    name: str


PEER_NOT_ALLOWED = Rejection(REJECTED_PERMANENT, SERVICE_USER, 1, "peer_not_allowed")
CALLING_AE_NOT_RECOGNIZED = Rejection(
    REJECTED_PERMANENT, SERVICE_USER, 3, "calling_ae_title_not_recognized"
)
LOCAL_LIMIT_EXCEEDED = Rejection(
    REJECTED_TRANSIENT, SERVICE_PROVIDER_PRESENTATION, 2, "local_limit_exceeded"
)
PEER_LIMIT_EXCEEDED = Rejection(
    REJECTED_TRANSIENT, SERVICE_PROVIDER_PRESENTATION, 2, "peer_limit_exceeded"
)
TEMPORARY_CONGESTION = Rejection(
    REJECTED_TRANSIENT, SERVICE_PROVIDER_PRESENTATION, 1, "admission_failed"
)
# A counter that begins at 1 has not increased for Prometheus (alert SendersRejected).
for _rejection in (PEER_NOT_ALLOWED, CALLING_AE_NOT_RECOGNIZED):
    ASSOCIATIONS.labels(_rejection.name)


def check_requestor(
    calling_ae_title: str, address: str, settings: StoreScpSettings
) -> Rejection | None:
    """Check address and calling AE title against the lists; an empty list admits all."""
    if not peer_is_allowed(address, settings):
        return PEER_NOT_ALLOWED
    if not settings.may_call(calling_ae_title):
        return CALLING_AE_NOT_RECOGNIZED
    return None


def peer_is_allowed(address: str, settings: StoreScpSettings) -> bool:
    """Return whether the list admits an address; an empty list admits all."""
    if not settings.allowed_peers:
        return True
    peer = ipaddress.ip_address(address)
    # An IPv6 socket reports an IPv4 peer as ::ffff:10.1.2.3.
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return any(peer in network for network in settings.allowed_peers)


def log_rejection(rejection: Rejection, calling_ae_title: str, address: str) -> None:
    """Log and count an association that was rejected."""
    ASSOCIATIONS.labels(rejection.name).inc()
    log.warning(
        "association_rejected",
        reason=rejection.name,
        calling_ae_title=calling_ae_title,
        peer=address,
    )
