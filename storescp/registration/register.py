"""The thread that registers complete series and completes studies, and publishes their tasks.

The spool is the journal: while the database is unavailable, series stay pending on disk and in
``PendingSeries``, and registration is retried with back-off. While the broker is unavailable,
the sweep of the workers publishes the tasks.
"""

import random
import threading
import time
from datetime import UTC, datetime

from common.backoff import backoff
from common.dicomnet.address import DicomwebPeer, DimsePeer
from common.health import LoopProbe
from common.logging import get_logger
from common.metrics import PENDING_SERIES, REGISTERED_SERIES
from common.settings.storescp import StoreScpSettings
from common.spool.held import WADO_RS
from common.spool.layout import SeriesKey, list_instances
from common.task_publisher import TaskPublisher
from db.completed_series import ArrivingSeries, CompletedSeries, Registered
from db.held_changes import changed_by_another
from db.migrate import SchemaNotCurrent, require_current_schema
from db.registration import open_series, register_revision
from db.session import DatabaseUnavailable, DriverError, Engine, make_sessions
from db.states import ResultPer
from db.studies import complete_studies
from db.study_series import other_used_series
from db.transition import ChangedBy
from storescp.registration.associations import Associations
from storescp.registration.headers import read_complete
from storescp.registration.held_files import HeldFiles
from storescp.registration.pending_series import CompleteSeries, PendingSeries
from storescp.registration.read_attempts import ReadAttempts
from storescp.registration.scan import SpoolScan

ACTOR = "storescp"
MAX_TICK_SECONDS = 0.25  # largest delay of a complete series
MAX_STUDY_TICK_SECONDS = 1.0  # largest delay of a complete study
TICKS_PER_QUIET_PERIOD = 10
RETRY_BASE_SECONDS = 1.0
RETRY_CAP_SECONDS = 30.0
REPEAT_SECONDS = 300.0

log = get_logger(__name__)


class Registrar(threading.Thread):
    """One per spool. Association threads never wait for it."""

    def __init__(
        self,
        pending: PendingSeries,
        associations: Associations,
        engine: Engine,
        publisher: TaskPublisher,
        settings: StoreScpSettings,
    ) -> None:
        super().__init__(name="registrar", daemon=True)
        self._pending = pending
        self._associations = associations
        self._engine = engine
        self._sessions = make_sessions(engine, audit=settings.audit_syslog is not None)
        self._publisher = publisher
        self._settings = settings
        self._result_per = ResultPer(settings.result_per)
        self._attempts = ReadAttempts(settings.spool_dir)
        self._scan = SpoolScan(settings.spool_dir, pending)
        self._held = HeldFiles(settings.spool_dir, pending, actor=ACTOR)
        self._schema_checked = False
        self._failures = 0
        self._retry_at = 0.0
        self._studies_at = 0.0
        self._stopping = threading.Event()
        self._tick_seconds = min(
            MAX_TICK_SECONDS, settings.quiet_seconds / TICKS_PER_QUIET_PERIOD
        )
        self.loop_probe = LoopProbe("registrar", pause_seconds=self._tick_seconds)

    def recover(self) -> None:
        """Count the file that ended the last process; call once before ``start``."""
        self._attempts.recover()

    def run(self) -> None:
        """Tick until ``stop``; no exception ends the thread."""
        while not self._stopping.wait(self._tick_seconds):
            self.loop_probe.beat()
            try:
                self.tick(time.monotonic())
            except Exception:
                log.exception("registrar_failed")
                self._back_off()

    def stop(self) -> None:
        """End after the current series; the others wait in the spool for the next start."""
        self._stopping.set()
        self.join()

    def tick(self, now: float) -> None:
        """Scan the spool, open new series, register complete ones."""
        PENDING_SERIES.set(len(self._pending))
        if now < self._retry_at:
            return
        try:
            self._require_schema()
            self._scan.run(self._sessions, now=now)
            self._open_series()
            self._held.run(self._sessions, now=now)
            self._register_complete(now)
            self._complete_studies(now)
        except (DriverError, SchemaNotCurrent) as error:
            self._back_off()
            reason = str(error) if isinstance(error, SchemaNotCurrent) else type(error).__name__
            log.warning(
                "database_unavailable",
                error=reason,
                pending_series=len(self._pending),
                failures=self._failures,
            )
        else:
            self._failures = 0

    def _require_schema(self) -> None:
        """Check the schema once: the database may have been unavailable at the start."""
        if not self._schema_checked:
            require_current_schema(self._engine)
            self._schema_checked = True

    def _open_series(self) -> None:
        for key, calling_ae_title, correlation_id in self._pending.newly_opened():
            with self._sessions.begin() as session:
                open_series(
                    session,
                    ArrivingSeries(
                        key.study_instance_uid,
                        key.series_instance_uid,
                        calling_ae_title,
                        correlation_id,
                    ),
                    now=datetime.now(UTC),
                    actor=ACTOR,
                    result_per=self._result_per,
                )

    def _complete_studies(self, now: float) -> None:
        """Make complete studies due; a study with a pending series is not complete."""
        if now < self._studies_at:
            return
        quiet_seconds = self._settings.study_quiet_seconds
        self._studies_at = now + min(
            MAX_STUDY_TICK_SECONDS, quiet_seconds / TICKS_PER_QUIET_PERIOD
        )
        with self._sessions.begin() as session:
            complete = complete_studies(
                session,
                quiet_seconds=quiet_seconds,
                counted_quiet_seconds=self._settings.quiet_seconds,
                pending=self._pending.studies() | self._scan.studies(),
                sending=self._associations.studies(),
                by=ChangedBy(ACTOR, datetime.now(UTC)),
            )
        published = True
        for study in complete:
            log.info(
                "study_complete",
                study_instance_uid=study.study_instance_uid,
                correlation_id=study.correlation_id,
                revision=study.revision,
            )
            published = published and self._publisher.screen_study(study.id)

    def _register_complete(self, now: float) -> None:
        quiet_seconds = self._settings.quiet_seconds
        published = True
        complete = self._pending.complete(now=now, quiet_seconds=quiet_seconds)
        for series in sorted(complete, key=lambda one: self._attempts.is_suspect(one.key)):
            if self._stopping.is_set():
                return
            registered = self._try_to_register(series, now)
            # An unavailable broker costs its timeout once a tick, not once a series.
            if registered is not None and registered.due and published:
                published = self._publisher.screen(registered.series_id)

    def _try_to_register(self, series: CompleteSeries, now: float) -> Registered | None:
        """Register one series; postpone it after an error, so that others are registered."""
        try:
            return self._register(series)
        except DatabaseUnavailable:
            raise  # concerns all series
        except Exception as error:
            self._pending.postpone(series.key, until=now + REPEAT_SECONDS)
            # Without the text of the error: PostgreSQL repeats the row with patient data.
            log.error(
                "registration_failed",
                series_instance_uid=series.key.series_instance_uid,
                correlation_id=series.correlation_id,
                error=type(error).__name__,
            )
            return None

    def _register(self, series: CompleteSeries) -> Registered | None:
        try:
            completed = read_complete(self._settings.spool_dir, series, attempts=self._attempts)
        finally:
            self._attempts.end(series.key)
        if completed is None:
            self._pending.registered(series)
            return None
        if self._hold_changed(series, completed):
            return None  # the others are read again at the next tick
        with self._sessions.begin() as session:
            registered = register_revision(
                session,
                completed,
                now=datetime.now(UTC),
                actor=ACTOR,
                result_per=self._result_per,
            )
        self._pending.registered(series)
        self._scan.registered(series.key, completed.spool_mtime_ns)
        if registered.refused_because is not None:
            log.warning(
                "change_refused",
                series_instance_uid=series.key.series_instance_uid,
                correlation_id=series.correlation_id,
                reason=registered.refused_because,
            )
        if registered.changed:
            REGISTERED_SERIES.labels(series.completed_by).inc()
            log.info(
                "series_queued",
                series_instance_uid=series.key.series_instance_uid,
                study_instance_uid=series.key.study_instance_uid,
                correlation_id=registered.correlation_id,
                revision=registered.revision,
                instances=len(completed.instances),
                expected=series.expected,
                refused=completed.refused_count,
                completed_by=series.completed_by,
            )
            self._fetch_others(registered)
        return registered

    def _fetch_others(self, registered: Registered) -> None:
        """Have the source PACS send again what retention has removed from the used series.

        A result of two series can only be replaced from the images of both.
        """
        if self._settings.source_pacs is None or registered.revision == 1:
            return
        with self._sessions() as session:
            others = other_used_series(session, registered.series_id)
        for uids, count in others.items():
            key = SeriesKey(*uids)
            if len(list_instances(self._settings.spool_dir, key)) < count:
                self._pending.found_by_scan(key, last_arrival=time.monotonic())

    def _hold_changed(self, series: CompleteSeries, completed: CompletedSeries) -> bool:
        """Hold what another sender has changed; retention had removed the first content."""
        if self._settings.changed_content == "accept":
            return False
        with self._sessions() as session:
            changed = changed_by_another(
                session,
                series.key.study_instance_uid,
                series.key.series_instance_uid,
                completed.instances,
                source_pacs=_source_title(self._settings.source_pacs),
            )
        digests = {one.sop_instance_uid: one.sha256 for one in completed.instances}
        self._held.hold(series.key, {uid: digests[uid] for uid in sorted(changed)})
        return bool(changed)

    def _back_off(self) -> None:
        self._failures += 1
        wait = backoff(
            self._failures,
            base_seconds=RETRY_BASE_SECONDS,
            cap_seconds=RETRY_CAP_SECONDS,
            jitter=random.random(),  # noqa: S311 - not a secret
        )
        self._retry_at = time.monotonic() + wait.total_seconds()


def _source_title(peer: DimsePeer | DicomwebPeer | None) -> str | None:
    """Return the calling AE title of instances that come from the source PACS."""
    if peer is None:
        return None
    return peer.ae_title if isinstance(peer, DimsePeer) else WADO_RS
