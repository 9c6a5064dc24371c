"""Intake of series by two senders on spool and database, in simulated time."""

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from common.settings.storescp import StoreScpSettings
from common.spool.held import list_held
from common.spool.layout import SeriesKey, instance_path, remove_series
from common.spool.writer import SpoolWriter
from common.task_publisher import TaskPublisher
from db.held import decide, held_by_uid
from db.history import SeriesHistory, series_history
from db.states import SeriesState
from storescp.registration.arrival import Arrival
from storescp.registration.associations import Associations
from storescp.registration.pending_series import PendingSeries
from storescp.registration.register import Registrar
from storescp.store.instance_writer import InstanceWriter, Stored
from tests.support.ct_factory import ct_series
from tests.support.instance_writing import sent
from tests.support.record import Sessions, lease, save

FIRST, OTHER = ("CT_01", "10.0.0.1"), ("WS_02", "10.0.0.2")
QUIET_SECONDS = 10.0


@dataclass
class Intake:
    """Intake of instances without a network, and a registrar whose time the test sets."""

    sessions: Sessions
    settings: StoreScpSettings
    publisher: TaskPublisher
    now: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what the process has in memory."""
        self.pending = PendingSeries()
        self.associations = Associations(self.pending, limit=32, limit_per_peer=16)
        engine = self.sessions.kw["bind"]
        self.registrar = Registrar(
            self.pending, self.associations, engine, self.publisher, self.settings
        )

    def store(self, instances: Sequence[Dataset], sender: tuple[str, str]) -> list[Stored]:
        """Store instances as C-STOREs of one sender."""
        writer = SpoolWriter(self.settings.spool_dir)
        writer.prepare()
        return [self._store_one(ds, writer, *sender) for ds in instances]

    def _store_one(
        self, ds: Dataset, writer: SpoolWriter, ae_title: str, address: str
    ) -> Stored:
        one = sent(ds, calling_ae_title=ae_title, source_address=address)
        instance = InstanceWriter(one.request, writer, self.settings)
        instance.write(one.encoded)
        stored = instance.finish()
        arrival = Arrival(
            stored.key,
            stored.sop_instance_uid,
            "a",
            ae_title,
            changed=stored.changed,
            at=self.now,
            held=stored.held,
        )
        self.associations.instance_stored("sender", arrival)
        return stored

    def settle(self) -> None:
        """Let the registrar do what is due now and after the quiet period."""
        for _ in range(3):
            self.registrar.tick(self.now)
            self.now += QUIET_SECONDS + 1

    def screened(self, count: int = 3) -> list[Dataset]:
        """Return a series of the first sender that was screened and delivered."""
        instances = ct_series(count)
        self.store(instances, FIRST)
        self.settle()
        self.end(instances)
        return instances

    def end(self, instances: Sequence[Dataset]) -> None:
        """Screen the queued revision of a series."""
        series = self.history(instances).series
        assert series.state is SeriesState.QUEUED
        save(self.sessions, lease(self.sessions, series.id, now=datetime.now(UTC)))

    def purge(self, instances: Sequence[Dataset]) -> None:
        """Remove the images of a series as retention does."""
        later = datetime.now(UTC) + timedelta(days=1)
        remove_series(self.settings.spool_dir, key_of(instances), before=later)

    def history(self, instances: Sequence[Dataset]) -> SeriesHistory:
        """Return the history of a series that is on record."""
        with self.sessions() as session:
            history = series_history(session, instances[0].SeriesInstanceUID)
        assert history is not None
        return history

    def decide(self, instances: Sequence[Dataset], *, accept: bool) -> int:
        """Decide on the held content of a series; return how many instances it has."""
        with self.sessions.begin() as session:
            (content,) = held_by_uid(session, instances[0].SeriesInstanceUID)
            now = datetime.now(UTC)
            return decide(session, content, accept=accept, actor="operator test", now=now)

    def revision(self, instances: Sequence[Dataset]) -> tuple[int, SeriesState, int]:
        """Return revision, state and number of instances of a series."""
        series = self.history(instances).series
        return series.revision, series.state, series.instance_count

    def held_files(self) -> list[Path]:
        """Return the files that wait for a decision."""
        return [path for _, path in list_held(self.settings.spool_dir)]

    def spooled(self, ds: Dataset) -> Dataset:
        """Read an instance from the spool."""
        return dcmread(instance_path(self.settings.spool_dir, key_of([ds]), ds.SOPInstanceUID))


def intake_settings(spool_dir: Path, **values: Any) -> StoreScpSettings:
    """Return settings with one result a series and ``QUIET_SECONDS``."""
    return StoreScpSettings.model_validate(
        {
            "spool_dir": spool_dir,
            "quiet_seconds": QUIET_SECONDS,
            "result_per": "series",
            "min_free_mb": 0,
            **values,
        }
    )


def key_of(instances: Sequence[Dataset]) -> SeriesKey:
    """Return the key of a series by its instances."""
    return SeriesKey(instances[0].StudyInstanceUID, instances[0].SeriesInstanceUID)


def changed(instances: Sequence[Dataset], **elements: Any) -> list[Dataset]:
    """Return copies with other values."""
    copies = [deepcopy(ds) for ds in instances]
    for ds in copies:
        for keyword, value in elements.items():
            setattr(ds, keyword, value)
    return copies


def actions(history: SeriesHistory) -> list[str]:
    """Return the names of the events of a series."""
    return [event.what for event in history.events]
