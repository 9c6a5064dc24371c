"""The thread that asks which series are complete, registers and publishes them.

The spool is the journal: while the database is down everything stays pending on disk and in
``Arrivals``, and is tried again with back-off. A broker that is down is left to the sweep.
"""

import random
import threading
import time
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from db.backoff import backoff
from db.health import Rounds
from db.intake import Registered, open_series, register_revision
from db.migrate import SchemaNotCurrent, require_current_schema
from db.session import make_sessions
from db.telemetry import PENDING_SERIES, REGISTERED_SERIES, get_logger
from storescp.registration.arrivals import Arrivals, Complete
from storescp.registration.headers import read_complete
from storescp.registration.publish import Publisher
from storescp.registration.scan import Scan
from storescp.settings import StoreScpSettings

ACTOR = "storescp"
MAX_TICK_SECONDS = 0.25  # what a series waits for nothing, at the most
TICKS_PER_QUIET_PERIOD = 10
RETRY_BASE_SECONDS = 1.0
RETRY_CAP_SECONDS = 30.0
REPEAT_SECONDS = 300.0

log = get_logger(__name__)


class Registrar(threading.Thread):
    """One per spool; association threads never wait for it."""

    def __init__(
        self,
        arrivals: Arrivals,
        engine: Engine,
        publisher: Publisher,
        settings: StoreScpSettings,
    ) -> None:
        super().__init__(name="registrar", daemon=True)
        self._arrivals = arrivals
        self._engine = engine
        self._sessions = make_sessions(engine)
        self._publisher = publisher
        self._settings = settings
        self._scan = Scan(settings.spool_dir, arrivals)
        self._schema_checked = False
        self._failures = 0
        self._retry_at = 0.0
        self._stop_asked = threading.Event()
        self._pause = min(MAX_TICK_SECONDS, settings.quiet_seconds / TICKS_PER_QUIET_PERIOD)
        self.rounds = Rounds("registrar", pause_seconds=self._pause)

    def run(self) -> None:
        """Tick until ``stop``; the process boundary of this thread."""
        while not self._stop_asked.wait(self._pause):
            self.rounds.count()
            try:
                self.tick(time.monotonic())
            except Exception:
                log.exception("registrar_failed")
                self._back_off()

    def stop(self) -> None:
        """End after the series at hand; the rest waits on disk for the next start."""
        self._stop_asked.set()
        self.join()

    def tick(self, now: float) -> None:
        """One round: scan, what opened, what is complete."""
        PENDING_SERIES.set(self._arrivals.pending())
        if now < self._retry_at:
            return
        try:
            self._require_schema()
            self._scan.run(self._sessions, now=now)
            self._open_series()
            self._register_complete(now)
        except (DBAPIError, SchemaNotCurrent) as error:
            self._back_off()
            reason = str(error) if isinstance(error, SchemaNotCurrent) else type(error).__name__
            log.warning(
                "database_unavailable",
                error=reason,
                pending_series=self._arrivals.pending(),
                failures=self._failures,
            )
        else:
            self._failures = 0

    def _require_schema(self) -> None:
        """Once: a database that was down at the start may come back with another schema."""
        if not self._schema_checked:
            require_current_schema(self._engine)
            self._schema_checked = True

    def _open_series(self) -> None:
        for key, calling_ae_title, correlation_id in self._arrivals.newly_opened():
            with self._sessions.begin() as session:
                open_series(
                    session,
                    key.study_instance_uid,
                    key.series_instance_uid,
                    calling_ae_title=calling_ae_title,
                    correlation_id=correlation_id,
                    now=datetime.now(UTC),
                    actor=ACTOR,
                )

    def _register_complete(self, now: float) -> None:
        quiet_seconds = self._settings.quiet_seconds
        published = True
        for done in self._arrivals.complete(now=now, quiet_seconds=quiet_seconds):
            if self._stop_asked.is_set():
                return
            registered = self._try_to_register(done, now)
            # A broker that is down costs its time-out once a round, not once a series.
            if registered is not None and registered.changed and published:
                published = self._publisher.screen(registered.series_id)

    def _try_to_register(self, done: Complete, now: float) -> Registered | None:
        """Register one series; one that cannot be must not hold up the others."""
        try:
            return self._register(done)
        except OperationalError:
            raise  # the database, not the series
        except Exception as error:
            self._arrivals.postpone(done.key, until=now + REPEAT_SECONDS)
            # Not the error's text: PostgreSQL's repeats the row, with the patient in it.
            log.error(
                "registration_failed",
                series_instance_uid=done.key.series_instance_uid,
                correlation_id=done.correlation_id,
                error=type(error).__name__,
            )
            return None

    def _register(self, done: Complete) -> Registered | None:
        completed = read_complete(
            self._settings.spool_dir,
            done.key,
            done.completed_by,
            expected_count=done.expected,
            correlation_id=done.correlation_id,
        )
        if completed is None:
            self._arrivals.registered(done)
            return None
        with self._sessions.begin() as session:
            registered = register_revision(
                session, completed, now=datetime.now(UTC), actor=ACTOR
            )
        self._arrivals.registered(done)
        self._scan.registered(done.key, completed.spool_mtime_ns)
        if registered.changed:
            REGISTERED_SERIES.labels(done.completed_by).inc()
            log.info(
                "series_queued",
                series_instance_uid=done.key.series_instance_uid,
                study_instance_uid=done.key.study_instance_uid,
                correlation_id=registered.correlation_id,
                revision=registered.revision,
                instances=len(completed.instances),
                expected=done.expected,
                completed_by=done.completed_by,
            )
        return registered

    def _back_off(self) -> None:
        self._failures += 1
        wait = backoff(
            self._failures,
            base_seconds=RETRY_BASE_SECONDS,
            cap_seconds=RETRY_CAP_SECONDS,
            jitter=random.random(),  # noqa: S311 - not a secret
        )
        self._retry_at = time.monotonic() + wait.total_seconds()
