"""State shared by all tasks of a worker process: settings, database, spool and models."""

import os
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from common.logging import get_logger
from common.metrics import LIVE_MODEL
from common.settings.worker import WorkerSettings
from common.spool.writer import SpoolWriter
from db.candidates import live_release
from db.migrate import require_current_schema
from db.runs import Lease, StudyLease
from db.session import (
    DatabaseUnavailable,
    Engine,
    Sessions,
    make_engine,
    make_sessions,
)
from worker.patient_rules import patient_rules
from worker.pipeline.results import MEASUREMENT, Model, ModelInfo
from worker.pipeline.validation.patient import PatientRules

DATABASE_RETRY_SECONDS = 5.0

log = get_logger(__name__)


@dataclass
class WorkerContext:
    """Settings, database, spool and models of one worker process.

    ``name`` : recorded as the holder of leases. ``running`` : leases of the screenings in
    progress, by screening id.
    """

    settings: WorkerSettings
    name: str = field(default_factory=lambda: f"{socket.gethostname()}/{os.getpid()}")
    running: dict[int, Lease | StudyLease] = field(default_factory=dict)
    _loading: threading.Lock = field(default_factory=threading.Lock)
    _loaded: dict[Path, Model] = field(default_factory=dict)

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine; it connects on first use."""
        return make_engine(self.settings.database_url, application_name="osteoscreen worker")

    @cached_property
    def sessions(self) -> Sessions:
        """Session factory; ``with context.sessions.begin() as session:`` is one transaction."""
        return make_sessions(self.engine, audit=self.settings.audit_syslog is not None)

    @cached_property
    def spool(self) -> SpoolWriter:
        """Writer of durable files below the spool."""
        return SpoolWriter(self.settings.spool_dir)

    def patient_rules(self) -> PatientRules:
        """Return the rules for patients, with the opt-out list as it is now."""
        return patient_rules(self.settings)

    def load_model(self) -> Model | None:
        """Return the live model: the last promoted one, else the one of ``MODEL_DIR``.

        None where ``MODEL_DIR`` is ``none``, whatever was promoted. Each model is loaded and
        warmed once, also when several threads request it. Raises ModelError, and
        DatabaseUnavailable when the database does not answer.
        """
        folder = self.settings.model_dir
        if folder is None:
            _show_live(MEASUREMENT)
            return None
        with self.sessions() as session:
            release = live_release(session)
        if release is not None and release.folder is not None:
            folder = self.settings.spool_dir / release.folder
        model = self._load(folder)
        _show_live(model.info)
        return model

    def load_candidate(self) -> Model | None:
        """Return the candidate model, None if none is configured; raises ModelError."""
        candidate_dir = self.settings.shadow_model_dir
        return None if candidate_dir is None else self._load(candidate_dir)

    def _load(self, model_dir: Path) -> Model:
        with self._loading:
            if model_dir not in self._loaded:
                from worker.pipeline.model import package  # TensorFlow: seconds and 500 MB

                self._loaded[model_dir] = package.load(model_dir)
            return self._loaded[model_dir]

    def model_problem(self) -> str | None:
        """Return the answer of the health probe: None once a model is loaded or not needed."""
        return None if self._loaded or self.settings.model_dir is None else "not loaded"

    def wait_for_database(self) -> None:
        """Block until the database answers; raises SchemaNotCurrent."""
        while True:
            try:
                return require_current_schema(self.engine)
            except DatabaseUnavailable as error:
                log.warning("database_unreachable", error=type(error).__name__)
                time.sleep(DATABASE_RETRY_SECONDS)


def _show_live(info: ModelInfo) -> None:
    """Set the metric of the live model, in place of the one before."""
    LIVE_MODEL.clear()
    LIVE_MODEL.labels(info.name, info.version, info.sha256).set(1)


def utc_now() -> datetime:
    """Return the time of the worker's wall clock."""
    return datetime.now(UTC)
