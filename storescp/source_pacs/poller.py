"""Threads that query the source PACS about pending series and fetch missing instances.

No other thread waits for them: they write counts into ``PendingSeries``. A PACS that does not
answer is not queried again until a back-off has passed; the quiet period decides meanwhile.
"""

import random
import threading
import time
from contextlib import suppress

from common import supervised
from common.backoff import backoff
from common.dicomnet.address import DimsePeer
from common.logging import get_logger
from common.metrics import SOURCE_PACS
from common.settings.storescp import StoreScpSettings
from common.spool.layout import INSTANCE_SUFFIX, list_instances
from storescp.registration.instance_count import QUERY_AFTER
from storescp.registration.pending_series import CountQuery, PendingSeries
from storescp.source_pacs.dicomweb import DicomwebSource
from storescp.source_pacs.dimse import DimseSource
from storescp.source_pacs.source import Source, SourceUnavailable
from storescp.store.store_operation import StorageService

THREADS = 2  # so that one long fetch does not delay all counts
MAX_TICK_SECONDS = 0.25
RETRY_BASE_SECONDS = 1.0
RETRY_CAP_SECONDS = 60.0
STOP_SECONDS = 1.0

log = get_logger(__name__)


def make_source_poller(
    settings: StoreScpSettings, service: StorageService, pending: PendingSeries
) -> "SourcePoller | None":
    """Return the poller, or None where no source PACS is set."""
    peer = settings.source_pacs
    if peer is None:
        return None
    if isinstance(peer, DimsePeer):
        source: Source = DimseSource(peer, ae_title=settings.ae_title, tls=settings.tls)
    else:
        source = DicomwebSource(peer, tls=settings.tls, service=service)
    with suppress(supervised.ChildEnded, OSError):  # the first query tries again
        supervised.prepare(type(source).__module__)
    return SourcePoller(source, pending, settings)


class SourcePoller:
    """Runs the queries that ``PendingSeries`` finds due."""

    def __init__(
        self, source: Source, pending: PendingSeries, settings: StoreScpSettings
    ) -> None:
        self._source = source
        self._pending = pending
        self._settings = settings
        self._stopped = threading.Event()
        self._failures = 0
        self._retry_at = 0.0
        self._threads = [
            threading.Thread(target=self._run, name=f"source poller {number}", daemon=True)
            for number in range(THREADS)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads; one that waits for an answer is abandoned."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def poll_once(self, now: float) -> bool:
        """Run the query that is due at ``now``; False: none is due, or back-off."""
        if now < self._retry_at:
            return False
        query = self._pending.next_query(now=now, quiet_seconds=self._settings.quiet_seconds)
        if query is None:
            return False
        try:
            self._poll(query)
        except SourceUnavailable as error:
            self._back_off(query, str(error))
        except Exception as error:
            # A library may raise errors of any class on an unexpected answer. Their text may
            # repeat the answer.
            self._back_off(query, type(error).__name__)
        else:
            self._failures = 0
        return True

    def _run(self) -> None:
        tick = min(MAX_TICK_SECONDS, QUERY_AFTER * self._settings.quiet_seconds)
        while not self._stopped.is_set():
            if not self.poll_once(time.monotonic()):
                self._stopped.wait(tick)

    def _poll(self, query: CountQuery) -> None:
        expected, fetching = None, False
        held: frozenset[str] = frozenset()
        try:
            expected = self._source.count(query.key)
            held = self._held(query)
            fetching = query.may_fetch and expected > len(held)
        finally:
            self._pending.record_count(query, expected, len(held), fetching=fetching)
        SOURCE_PACS.labels("counted").inc()
        if not fetching:
            return
        try:
            self._fetch(query, held)
        finally:
            self._pending.fetch_ended(query)

    def _fetch(self, query: CountQuery, held: frozenset[str]) -> None:
        listed = self._source.instances(query.key)
        missing = sorted(listed - held)
        fields = {
            "series_instance_uid": query.key.series_instance_uid,
            "correlation_id": query.correlation_id,
        }
        log.info("fetching_missing", missing=len(missing), held=len(held), **fields)
        if missing:
            self._source.fetch(query.key, missing, of=len(listed))
        after = self._held(query)
        SOURCE_PACS.labels("fetched").inc()
        log.info("fetched_missing", arrived=len(after - held), held=len(after), **fields)

    def _held(self, query: CountQuery) -> frozenset[str]:
        paths = list_instances(self._settings.spool_dir, query.key)
        return frozenset(path.name.removesuffix(INSTANCE_SUFFIX) for path in paths)

    def _back_off(self, query: CountQuery, reason: str) -> None:
        self._failures += 1
        pause = backoff(
            self._failures,
            base_seconds=RETRY_BASE_SECONDS,
            cap_seconds=RETRY_CAP_SECONDS,
            jitter=random.random(),  # noqa: S311 - not a secret
        )
        self._retry_at = time.monotonic() + pause.total_seconds()
        SOURCE_PACS.labels("unavailable").inc()
        log.warning(
            "source_pacs_unavailable",
            series_instance_uid=query.key.series_instance_uid,
            correlation_id=query.correlation_id,
            reason=reason,
            failures=self._failures,
        )
