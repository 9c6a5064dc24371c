"""Store one instance and return its status: the path of C-STORE, STOW-RS and WADO-RS."""

import time
from collections.abc import Hashable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from common.dicom.uids import is_valid_uid
from common.dicomnet import status
from common.logging import get_logger, new_correlation_id
from common.metrics import INSTANCES, RECEIVED_BYTES, REFUSED_INSTANCES, STORE_SECONDS
from common.settings.storescp import StoreScpSettings
from common.spool.layout import instance_path
from common.spool.writer import SpoolWriter
from storescp.registration.arrival import Arrival
from storescp.registration.associations import AssociationRegistry
from storescp.store.instance_writer import InstanceWriter, StoreRequest
from storescp.store.refusal import MAX_COMMENT, Refusal

log = get_logger(__name__)

INSTANCES.labels(f"0x{status.OUT_OF_RESOURCES:04X}")  # from 0: alert InstancesRefused
_assoc_ids: WeakKeyDictionary[Hashable, str] = WeakKeyDictionary()

INTERNAL_ERROR = Refusal(status.PROCESSING_FAILURE, "internal error")


@dataclass(frozen=True, slots=True)
class StorageService:
    """What all store operations of a process share."""

    writer: SpoolWriter
    settings: StoreScpSettings
    associations: AssociationRegistry


class StoreOperation:
    """Write the data set in parts; ``finish`` returns the answer and does not raise.

    ``sender`` : an association or an HTTP request.
    """

    def __init__(
        self, service: StorageService, sender: Hashable, request: StoreRequest
    ) -> None:
        self._service = service
        self._sender = sender
        self._request = request
        self._started = time.perf_counter()
        self._writer: InstanceWriter | None = None
        try:
            self._writer = InstanceWriter(request, service.writer, service.settings)
        except Exception:
            self._log_failure()

    def write(self, *parts: bytes | memoryview) -> None:
        """Append to the data set."""
        if self._writer is None:
            return
        try:
            self._writer.write(*parts)
        except Exception:
            self._log_failure()
            self.discard()

    def finish(self) -> Refusal | None:
        """Make the instance durable; return None for success."""
        refusal = self._finish()
        if refusal is not None and refusal.status != status.SOP_CLASS_NOT_SUPPORTED:
            self._report_missing()
        code = status.SUCCESS if refusal is None else refusal.status
        INSTANCES.labels(f"0x{code:04X}").inc()
        if code != 0x0000:
            REFUSED_INSTANCES.inc()
        if refusal is not None:
            log.warning(
                "instance_refused",
                assoc_id=assoc_id(self._sender),
                calling_ae_title=self._request.calling_ae_title,
                sop_instance_uid=self._request.sop_instance_uid[:MAX_COMMENT],
                status=f"0x{refusal.status:04X}",
                comment=refusal.comment,
            )
        return refusal

    def discard(self) -> None:
        """Delete what was written: the association ended within the message."""
        if self._writer is not None:
            self._writer.discard()
            self._report_missing(of_known_series=True)
            self._writer = None

    def _finish(self) -> Refusal | None:
        if self._writer is None:
            return INTERNAL_ERROR
        try:
            stored = self._writer.finish()
        except Refusal as refusal:
            return refusal
        except Exception:
            self._log_failure()
            return INTERNAL_ERROR
        arrival = Arrival(
            stored.key,
            stored.sop_instance_uid,
            assoc_id=assoc_id(self._sender),
            calling_ae_title=self._request.calling_ae_title,
            changed=stored.changed,
            at=time.monotonic(),
            held=stored.held,
        )
        correlation_id = self._service.associations.instance_stored(self._sender, arrival)
        log_arriving(arrival, correlation_id)
        RECEIVED_BYTES.inc(self._writer.size)
        STORE_SECONDS.observe(time.perf_counter() - self._started)
        return None

    def _report_missing(self, *, of_known_series: bool = False) -> None:
        """Record that this instance exists and is not in the spool; does not raise.

        ``of_known_series`` : only where its first bytes name its series.
        """
        try:
            uid = self._request.sop_instance_uid[:MAX_COMMENT]
            key = None if self._writer is None else self._writer.series_in_front()
            if key is None and of_known_series:
                return
            if key is not None and is_valid_uid(uid):
                path = instance_path(self._service.writer.spool_dir, key, uid)
                if path.exists():
                    return  # only sent again in vain
            self._service.associations.instance_refused(
                self._sender, key, uid, now=time.monotonic()
            )
        except Exception:
            self._log_failure()

    def _log_failure(self) -> None:
        log.exception("store_failed", assoc_id=assoc_id(self._sender))


def log_arriving(arrival: Arrival, correlation_id: str | None) -> None:
    """Log that an association has joined a series; ``correlation_id`` None: it has not."""
    if correlation_id is not None:
        log.info(
            "series_arriving",
            assoc_id=arrival.assoc_id,
            correlation_id=correlation_id,
            series_instance_uid=arrival.key.series_instance_uid,
        )


def assoc_id(sender: Hashable) -> str:
    """Return the log ID of an association or HTTP request.

    It becomes the correlation ID of a series that the sender is the first to send.
    """
    known = _assoc_ids.get(sender)
    return known or _assoc_ids.setdefault(sender, new_correlation_id())
