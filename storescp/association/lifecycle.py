"""Life cycle of associations: admission, release, abort, and shutdown."""

import socket
import threading
import time

from pynetdicom import Association, evt

from common.logging import get_logger
from common.metrics import ASSOCIATIONS, OPEN_ASSOCIATIONS
from common.settings.storescp import StoreScpSettings
from storescp.association.admission import (
    LOCAL_LIMIT_EXCEEDED,
    PEER_LIMIT_EXCEEDED,
    TEMPORARY_CONGESTION,
    Rejection,
    check_requestor,
    log_rejection,
)
from storescp.registration.associations import AssociationRegistry
from storescp.store.store_operation import assoc_id

ABORT_SECONDS = 0.5
NO_CONTEXT_SECONDS = 5.0
"""A peer that nothing was accepted from has this time to end the association."""
MAX_OFFERED = 10
NO_CONTEXT_REMEDY = (
    "send CT only, in a transfer syntax of docs/conformance.md; check the routing rule"
)

log = get_logger(__name__)


class AssociationLifecycle:
    """Keeps ``AssociationRegistry`` equal to the associations that pynetdicom has open."""

    def __init__(self, settings: StoreScpSettings, associations: AssociationRegistry) -> None:
        self._settings = settings
        self._associations = associations

    def handle_requested(self, event: evt.Event) -> None:
        """Handle ``EVT_REQUESTED``: admit or reject the association."""
        assoc = event.assoc
        calling_ae_title, address = "", assoc.requestor.address
        try:
            calling_ae_title = assoc.requestor.primitive.calling_ae_title.strip()
            rejection = check_requestor(calling_ae_title, address, self._settings)
            if rejection is None:
                rejection = self._open(assoc, address)
        except Exception:
            # pynetdicom would log the exception and accept the association.
            log.exception("admission_failed", peer=address)
            rejection = TEMPORARY_CONGESTION
        if rejection is not None:
            _reject(assoc, rejection, calling_ae_title, address)
            return
        ASSOCIATIONS.labels("accepted").inc()
        OPEN_ASSOCIATIONS.inc()
        log.info(
            "association_accepted",
            assoc_id=assoc_id(assoc),
            calling_ae_title=calling_ae_title,
            peer=address,
        )

    def handle_accepted(self, event: evt.Event) -> None:
        """Handle ``EVT_ACCEPTED``: report an association without a presentation context.

        The A-ASSOCIATE-AC states the reason for each context (PS3.8 Table 9-18).
        """
        assoc = event.assoc
        if assoc.accepted_contexts:
            return
        offered = sorted({str(one.abstract_syntax) for one in assoc.rejected_contexts})
        ASSOCIATIONS.labels("no_context").inc()
        log.warning(
            "no_context_accepted",
            assoc_id=assoc_id(assoc),
            calling_ae_title=assoc.requestor.ae_title.strip(),
            peer=assoc.requestor.address,
            offered=offered[:MAX_OFFERED],
            remedy=NO_CONTEXT_REMEDY,
        )
        assoc.network_timeout = min(NO_CONTEXT_SECONDS, self._settings.idle_seconds)

    def handle_ended(self, event: evt.Event, released: bool) -> None:
        """Handle ``EVT_RELEASED`` and ``EVT_ABORTED``."""
        self._close(event.assoc, released=released)

    def is_open(self) -> bool:
        """Return whether an association is open."""
        return self._associations.count() > 0

    def close_dead(self) -> None:
        """Close associations whose thread has ended without an event (the peer vanished)."""
        for assoc in self._associations.senders():
            if isinstance(assoc, threading.Thread) and not assoc.is_alive():
                self._close(assoc, released=False)

    def connections(self) -> set[socket.socket]:
        """Return the connections of the open associations."""
        senders = self._associations.senders()
        duls = [one.dul for one in senders if isinstance(one, Association)]
        # pynetdicom sets both to None when a connection ends.
        sockets = [getattr(dul.socket, "socket", None) for dul in duls]
        return {one for one in sockets if one is not None}

    def abort_open(self, deadline: float) -> None:
        """Abort the open associations, at most until ``ABORT_SECONDS`` after ``deadline``."""
        late = [one for one in self._associations.senders() if isinstance(one, Association)]
        aborting = [threading.Thread(target=one.abort, daemon=True) for one in late]
        for thread in aborting:
            thread.start()
        for thread in aborting:
            thread.join(max(0.0, deadline + ABORT_SECONDS - time.monotonic()))

    def _open(self, assoc: Association, address: str) -> Rejection | None:
        limit = self._associations.open(assoc, address)
        if limit is None:
            return None
        return PEER_LIMIT_EXCEEDED if limit == "peer full" else LOCAL_LIMIT_EXCEEDED

    def _close(self, assoc: Association, *, released: bool) -> None:
        if not self._associations.close(assoc, released=released):
            return
        outcome = "released" if released else "aborted"
        ASSOCIATIONS.labels(outcome).inc()
        OPEN_ASSOCIATIONS.dec()
        log.info("association_ended", assoc_id=assoc_id(assoc), outcome=outcome)


def _reject(
    assoc: Association, rejection: Rejection, calling_ae_title: str, address: str
) -> None:
    assoc.acse.send_reject(rejection.result, rejection.source, rejection.reason)
    evt.trigger(assoc, evt.EVT_REJECTED, {})
    assoc.kill()  # returns when the A-ASSOCIATE-RJ is sent and the peer has closed
    log_rejection(rejection, calling_ae_title, address)
