"""Who may associate. The answers are those of PS3.8 Table 9-21."""

import ipaddress
from dataclasses import dataclass

from storescp.settings import StoreScpSettings

REJECTED_PERMANENT = 1
REJECTED_TRANSIENT = 2
SERVICE_USER = 1
SERVICE_PROVIDER_PRESENTATION = 3


@dataclass(frozen=True, slots=True)
class Rejection:
    """Result, source and reason of an A-ASSOCIATE-RJ, and a name for log and metric."""

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


def check_requestor(
    calling_ae_title: str, address: str, settings: StoreScpSettings
) -> Rejection | None:
    """Compare address and calling AE title with the lists; an empty list admits everybody."""
    if not peer_is_allowed(address, settings):
        return PEER_NOT_ALLOWED
    if not settings.may_call(calling_ae_title):
        return CALLING_AE_NOT_RECOGNIZED
    return None


def peer_is_allowed(address: str, settings: StoreScpSettings) -> bool:
    """Compare an address with the list; an empty list admits everybody."""
    if not settings.allowed_peers:
        return True
    peer = ipaddress.ip_address(address)
    # A socket that listens on IPv6 shows an IPv4 peer as ::ffff:10.1.2.3.
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return any(peer in network for network in settings.allowed_peers)
