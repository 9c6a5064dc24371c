"""What every task of a worker process shares: settings, database, spool and one model."""

import os
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from db.candidates import live_release
from db.lease import Lease
from db.migrate import require_current_schema
from db.session import make_engine, make_sessions
from db.spool import SpoolWriter
from db.telemetry import get_logger
from worker.pipeline.results import Model
from worker.settings import WorkerSettings

DATABASE_PAUSE_SECONDS = 5.0

log = get_logger(__name__)


@dataclass
class Workshop:
    """One per process. ``running`` holds the leases of screenings in progress, by their id."""

    settings: WorkerSettings
    name: str = field(default_factory=lambda: f"{socket.gethostname()}/{os.getpid()}")
    running: dict[int, Lease] = field(default_factory=dict)
    _loading: threading.Lock = field(default_factory=threading.Lock)
    _loaded: dict[Path, Model] = field(default_factory=dict)

    @cached_property
    def engine(self) -> Engine:
        """The engine; a connection is made when it is needed."""
        return make_engine(self.settings.database_url, application_name="osteoscreen worker")

    @cached_property
    def sessions(self) -> sessionmaker[Session]:
        """``with workshop.sessions.begin() as session:`` is one transaction."""
        return make_sessions(self.engine)

    @cached_property
    def spool(self) -> SpoolWriter:
        """Writes durable files below the spool."""
        return SpoolWriter(self.settings.spool_dir)

    def load_model(self) -> Model:
        """The live model: the one that was promoted last, else that of ``MODEL_DIR``.

        Loaded and warmed once however many threads ask. Raises ModelError, and OperationalError
        while the database is away.
        """
        with self.sessions() as session:
            release = live_release(session)
        if release is None or release.folder is None:
            return self._load(self.settings.model_dir)
        return self._load(self.settings.spool_dir / release.folder)

    def load_candidate(self) -> Model | None:
        """The model on trial (ModelError); None without one."""
        candidate_dir = self.settings.shadow_model_dir
        return None if candidate_dir is None else self._load(candidate_dir)

    def _load(self, model_dir: Path) -> Model:
        with self._loading:
            if model_dir not in self._loaded:
                from worker import package  # TensorFlow: seconds and 500 MB

                self._loaded[model_dir] = package.load(model_dir)
            return self._loaded[model_dir]

    def ask_model(self) -> str | None:
        """What a health probe wants to know: None once a model is loaded."""
        return None if self._loaded else "not loaded"

    def wait_for_database(self) -> None:
        """Block until the database answers; raises SchemaNotCurrent."""
        while True:
            try:
                return require_current_schema(self.engine)
            except OperationalError as error:
                log.warning("database_unreachable", error=type(error).__name__)
                time.sleep(DATABASE_PAUSE_SECONDS)


def utc_now() -> datetime:
    """The worker's clock."""
    return datetime.now(UTC)
