"""One instance from its command to its status: the process boundary around a ``Reception``."""

import time
from collections.abc import Hashable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from db.spool import SeriesKey, SpoolWriter
from db.telemetry import (
    INSTANCES,
    RECEIVED_BYTES,
    STORE_SECONDS,
    get_logger,
    new_correlation_id,
)
from storescp import status
from storescp.reception import Reception, StoreRequest
from storescp.registration.arrivals import Associations
from storescp.settings import StoreScpSettings
from storescp.status import Refusal

log = get_logger(__name__)

_assoc_ids: WeakKeyDictionary[Hashable, str] = WeakKeyDictionary()

INTERNAL_ERROR = Refusal(status.PROCESSING_FAILURE, "internal error")


@dataclass(frozen=True, slots=True)
class Intake:
    """What all operations share."""

    writer: SpoolWriter
    settings: StoreScpSettings
    arrivals: Associations

    def begin(self, sender: Hashable, request: StoreRequest) -> "Operation":
        """An instance is about to come. ``sender`` : an association, or a request by HTTP."""
        return Operation(self, sender, request)


class Operation:
    """Takes the data set in parts; whatever happens, ``finish`` returns what to answer."""

    def __init__(self, intake: Intake, sender: Hashable, request: StoreRequest) -> None:
        self._intake = intake
        self._sender = sender
        self._request = request
        self._started = time.perf_counter()
        self._reception: Reception | None = None
        try:
            self._reception = Reception(request, intake.writer, intake.settings)
        except Exception:
            self._log_failure()

    def write(self, *parts: bytes | memoryview) -> None:
        """Append to the data set."""
        if self._reception is None:
            return
        try:
            self._reception.write(*parts)
        except Exception:
            self._log_failure()
            self.discard()

    def finish(self) -> Refusal | None:
        """Make the instance durable; None is success."""
        refusal = self._finish()
        answered = status.SUCCESS if refusal is None else refusal.status
        INSTANCES.labels(f"0x{answered:04X}").inc()
        if refusal is not None:
            log.warning(
                "instance_refused",
                assoc_id=assoc_id(self._sender),
                calling_ae_title=self._request.calling_ae_title,
                sop_instance_uid=self._request.sop_instance_uid[: status.MAX_COMMENT],
                status=f"0x{refusal.status:04X}",
                comment=refusal.comment,
            )
        return refusal

    def discard(self) -> None:
        """The association has ended within the message: leave nothing behind."""
        if self._reception is not None:
            self._reception.discard()
            self._reception = None

    def _finish(self) -> Refusal | None:
        if self._reception is None:
            return INTERNAL_ERROR
        try:
            stored = self._reception.finish()
        except Refusal as refusal:
            return refusal
        except Exception:
            self._log_failure()
            return INTERNAL_ERROR
        correlation_id = self._intake.arrivals.note(
            self._sender,
            stored.key,
            assoc_id=assoc_id(self._sender),
            calling_ae_title=self._request.calling_ae_title,
            changed=stored.changed,
            now=time.monotonic(),
        )
        say_arriving(assoc_id(self._sender), correlation_id, stored.key)
        RECEIVED_BYTES.inc(self._reception.size)
        STORE_SECONDS.observe(time.perf_counter() - self._started)
        return None

    def _log_failure(self) -> None:
        log.exception("store_failed", assoc_id=assoc_id(self._sender))


def say_arriving(assoc_id: str, correlation_id: str | None, key: SeriesKey) -> None:
    """Log that an association has joined a series: what ``Arrivals.note`` returned, if any."""
    if correlation_id is not None:
        log.info(
            "series_arriving",
            assoc_id=assoc_id,
            correlation_id=correlation_id,
            series_instance_uid=key.series_instance_uid,
        )


def assoc_id(sender: Hashable) -> str:
    """Names an association, or a request by HTTP, in the log; also what it begins is found
    by it, from process to process (``correlation_id``)."""
    known = _assoc_ids.get(sender)
    return known or _assoc_ids.setdefault(sender, new_correlation_id())
