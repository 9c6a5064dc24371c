"""The handler with which pynetdicom's server creates an association for ``StreamingDUL``."""

from collections.abc import Callable
from functools import partial

from pynetdicom import Association
from pynetdicom.transport import RequestHandler

from common.logging import get_logger
from storescp.association.buffered_socket import BufferedAssociationSocket
from storescp.association.streaming_dul import BeginStore, StreamingDUL
from storescp.association.transfer_rate import TransferRateMonitor

log = get_logger(__name__)


def request_handler(
    begin_store: BeginStore,
    *,
    max_pdu_bytes: int,
    stall_seconds: float,
    min_kb_per_second: float,
) -> type[RequestHandler]:
    """Return the handler class with which a server creates associations.

    ``begin_store`` is called for each C-STORE-RQ. A peer that sends longer PDUs, or is slower,
    is aborted.
    """

    class StreamingRequestHandler(RequestHandler):  # type: ignore[misc] # pynetdicom is untyped
        def _create_association(self) -> Association:
            assoc = super()._create_association()
            rate = TransferRateMonitor(stall_seconds, min_kb_per_second)
            assoc.dul = StreamingDUL(assoc, begin_store, rate, max_pdu_bytes=max_pdu_bytes)
            assoc.acse.negotiate_association = partial(
                _negotiate, assoc, assoc.acse.negotiate_association
            )
            # The setters of Association pass these on to its DUL.
            assoc.acse_timeout = self.ae.acse_timeout
            assoc.network_timeout = self.ae.network_timeout
            assoc.set_socket(
                BufferedAssociationSocket(assoc, self.request, stall_seconds=stall_seconds)
            )
            return assoc

    return StreamingRequestHandler


def _negotiate(assoc: Association, negotiate: Callable[[], None]) -> None:
    """Negotiate; an error ends the association, and not only its thread."""
    try:
        negotiate()
    except Exception as error:
        peer, problem = assoc.requestor.address, type(error).__name__
        log.warning("association_broken_off", peer=peer, error=problem)
        assoc.is_established = False
        assoc.dul.kill_dul()  # its end closes the connection
