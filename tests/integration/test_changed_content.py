"""Covered: changed content from another sender, and partial changes after retention: the ticks
of the registrar on a real spool and PostgreSQL, decisions of an operator, ``status`` and
``show``.

Not covered: C-STORE from two applications and the new report (test_study_path.py), the fetch
from the source PACS (test_source_pacs.py), the review page (review/test_held.py).
"""

import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from sqlalchemy import select
from structlog.testing import capture_logs

from common.settings.storescp import StoreScpSettings
from common.spool.held import list_held
from common.spool.layout import SeriesKey, instance_path, list_instances, remove_series
from common.spool.writer import SpoolWriter
from common.task_publisher import TaskPublisher
from db.held import decide, held_by_uid
from db.history import SeriesHistory, series_history
from db.models import Study
from db.outbox import NewResult
from db.queue_status import queue_status
from db.retention import remove_old_pixels
from db.states import SeriesState
from db.study_leases import lease_study
from db.study_results import save_study
from deploy.demo.embedded import free_port
from storescp.registration.arrival import Arrival
from storescp.registration.associations import Associations
from storescp.registration.pending_series import PendingSeries
from storescp.registration.register import Registrar
from storescp.registration.scan import INTERVAL_SECONDS
from storescp.store.instance_writer import InstanceWriter, Stored, StoreRequest
from tests.support import study_record
from tests.support.ct_factory import PATIENT_ID, PATIENT_NAME, ct_series, encode
from tests.support.record import HIPS, Sessions, lease, objects, save, screening
from worker.cli.show import show_json, show_tables
from worker.cli.status import status_json, status_tables

pytestmark = pytest.mark.servers

FIRST, OTHER = ("CT_01", "10.0.0.1"), ("WS_02", "10.0.0.2")
QUIET_SECONDS = 10.0
PACS = '{"kind": "dimse", "ae_title": "PACS", "host": "10.0.0.9", "port": 104}'


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
        request = StoreRequest(
            CTImageStorage,
            ds.SOPInstanceUID,
            CTImageStorage,
            ExplicitVRLittleEndian,
            ae_title,
            address,
        )
        instance = InstanceWriter(request, writer, self.settings)
        instance.write(encode(ds))
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
        with self.sessions() as session:
            history = series_history(session, instances[0].SeriesInstanceUID)
        assert history is not None
        return history

    def decide(self, instances: Sequence[Dataset], *, accept: bool) -> int:
        with self.sessions.begin() as session:
            (content,) = held_by_uid(session, instances[0].SeriesInstanceUID)
            now = datetime.now(UTC)
            return decide(session, content, accept=accept, actor="operator test", now=now)

    def revision(self, instances: Sequence[Dataset]) -> tuple[int, SeriesState, int]:
        series = self.history(instances).series
        return series.revision, series.state, series.instance_count

    def held_files(self) -> list[Path]:
        return [path for _, path in list_held(self.settings.spool_dir)]

    def spooled(self, ds: Dataset) -> Dataset:
        return dcmread(instance_path(self.settings.spool_dir, key_of([ds]), ds.SOPInstanceUID))


@pytest.fixture
def intake(
    sessions: Sessions, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Intake]:
    monkeypatch.setattr("storescp.registration.scan.FRESH_SECONDS", 0.0)
    publisher = TaskPublisher.from_url(f"redis://127.0.0.1:{free_port()}/0")
    yield Intake(sessions, settings(spool_dir), publisher)
    publisher.close()


def settings(spool_dir: Path, **values: Any) -> StoreScpSettings:
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
    return SeriesKey(instances[0].StudyInstanceUID, instances[0].SeriesInstanceUID)


def changed(instances: Sequence[Dataset], **elements: Any) -> list[Dataset]:
    """Return copies with other values."""
    copies = [deepcopy(ds) for ds in instances]
    for ds in copies:
        for keyword, value in elements.items():
            setattr(ds, keyword, value)
    return copies


def actions(history: SeriesHistory) -> list[str]:
    return [event.what for event in history.events]


@pytest.mark.covers("T5")
def test_changed_content_of_another_sender_is_held_and_shown(intake: Intake) -> None:
    instances = intake.screened()

    with capture_logs() as lines:
        stored = intake.store(changed(instances[:2], PatientID="OTHER"), OTHER)
        intake.settle()

    assert [(one.changed, one.held) for one in stored] == [(False, True)] * 2
    assert len(intake.held_files()) == 2
    assert intake.revision(instances) == (1, SeriesState.DELIVERED, 3)
    assert intake.spooled(instances[0]).PatientID == PATIENT_ID
    history = intake.history(instances)
    (held,) = history.held
    assert (held.instances, str(held.first), str(held.sender)) == (
        2, "CT_01 (10.0.0.1)", "WS_02 (10.0.0.2)",
    )  # fmt: skip
    assert "content_held" in actions(history)
    (shown,) = show_json(history)["held"]
    assert shown["reason"]["code"] == "CHANGED_CONTENT"
    assert shown["sender"] == {"ae_title": "WS_02", "address": "10.0.0.2"}
    assert shown["differences"] == ["PatientID"]
    assert show_tables(history)
    with intake.sessions() as session:
        status = queue_status(session, now=datetime.now(UTC), limit=5)
    assert status_json(status)["held"] == [shown]
    assert status_tables(status)
    assert [one["event"] for one in lines].count("changed_content_held") == 1
    assert not any(word in str(lines) for word in (PATIENT_NAME, PATIENT_ID, "OTHER"))


def test_a_restart_records_held_content_once(intake: Intake) -> None:
    instances = intake.screened()
    intake.store(changed(instances[:1], KVP="80"), OTHER)
    intake.restart()  # before the record was written
    intake.settle()
    intake.restart()
    intake.settle()

    (held,) = intake.history(instances).held
    assert held.instances == 1
    assert actions(intake.history(instances)).count("content_held") == 1


@pytest.mark.parametrize(
    ("sender", "values"),
    [(FIRST, {}), (OTHER, {"changed_content": "accept"}), (("CT_01", ""), {})],
)
def test_a_correction_replaces_the_content(
    sender: tuple[str, str], values: dict[str, str], intake: Intake
) -> None:
    """By the first sender, by another one if the setting allows it, by an unknown address."""
    intake.settings = settings(intake.settings.spool_dir, **values)
    intake.restart()
    instances = intake.screened()

    intake.store(changed(instances[:1], KVP="80"), sender)
    intake.settle()

    assert intake.held_files() == []
    assert intake.revision(instances) == (2, SeriesState.QUEUED, 3)
    assert intake.spooled(instances[0]).KVP == 80


def test_the_same_application_at_another_address_is_another_sender(intake: Intake) -> None:
    instances = intake.screened()

    (stored,) = intake.store(changed(instances[:1], KVP="80"), (FIRST[0], OTHER[1]))

    assert stored.held


def test_accepted_content_is_a_new_revision(intake: Intake) -> None:
    instances = intake.screened()
    intake.store(changed(instances[:2], KVP="80"), OTHER)
    intake.settle()

    assert intake.decide(instances, accept=True) == 2
    intake.restart()  # the decision is in the record
    intake.settle()
    assert intake.revision(instances) == (2, SeriesState.QUEUED, 3)
    intake.end(instances)

    assert intake.held_files() == []
    assert [intake.spooled(ds).KVP for ds in instances] == [80, 80, 120]
    history = intake.history(instances)
    assert history.held == []
    accepted = history.events[actions(history).index("content_accepted")]
    assert (accepted.actor, accepted.detail) == (
        "operator test", {"instances": 2, "sender": "WS_02 (10.0.0.2)"},
    )  # fmt: skip
    # The accepted sender is now the one whose corrections are taken.
    intake.store(changed(instances[:1], KVP="90"), OTHER)
    intake.settle()
    assert intake.revision(instances) == (3, SeriesState.QUEUED, 3)


def test_refused_content_is_deleted(intake: Intake) -> None:
    instances = intake.screened()
    other = changed(instances[:1], KVP="80")
    intake.store(other, OTHER)
    intake.settle()

    assert intake.decide(instances, accept=False) == 1
    intake.settle()

    assert intake.held_files() == []
    assert intake.revision(instances) == (1, SeriesState.DELIVERED, 3)
    assert intake.spooled(instances[0]).KVP == 120
    assert actions(intake.history(instances))[-1] == "content_refused"
    intake.store(other, OTHER)  # sent again: another decision
    intake.settle()
    assert [one.instances for one in intake.history(instances).held] == [1]


def test_content_that_arrives_after_the_page_was_shown_is_not_decided(intake: Intake) -> None:
    instances = intake.screened()
    intake.store(changed(instances[:1], KVP="80"), OTHER)
    intake.settle()
    with intake.sessions() as session:
        (shown,) = held_by_uid(session, instances[0].SeriesInstanceUID)
    intake.store(changed(instances[1:2], KVP="80"), OTHER)
    intake.settle()

    with intake.sessions.begin() as session:
        count = decide(session, shown, accept=True, actor="o", now=datetime.now(UTC))
    intake.settle()

    assert count == 1
    assert [intake.spooled(ds).KVP for ds in instances] == [80, 120, 120]
    assert len(intake.held_files()) == 1


def test_retention_keeps_a_series_that_waits_for_a_decision(intake: Intake) -> None:
    instances, free = intake.screened(), intake.screened()
    intake.store(changed(instances[:1], KVP="80"), OTHER)
    intake.settle()

    with intake.sessions.begin() as session:
        later = datetime.now(UTC) + timedelta(days=1)
        removed = remove_old_pixels(session, intake.settings.spool_dir, before=later)

    assert removed == 1
    assert len(list_instances(intake.settings.spool_dir, key_of(instances))) == 3
    assert list_instances(intake.settings.spool_dir, key_of(free)) == ()


def test_after_retention_the_record_tells_another_sender(intake: Intake) -> None:
    instances = intake.screened()
    intake.purge(instances)

    intake.store([*changed(instances[:2], KVP="80"), instances[2]], OTHER)
    intake.settle()

    assert intake.revision(instances) == (1, SeriesState.DELIVERED, 3)
    assert [one.instances for one in intake.history(instances).held] == [2]
    assert len(list_instances(intake.settings.spool_dir, key_of(instances))) == 1
    intake.decide(instances, accept=True)
    intake.settle()
    assert intake.revision(instances) == (2, SeriesState.QUEUED, 3)
    assert [intake.spooled(ds).KVP for ds in instances] == [80, 80, 120]


@pytest.mark.covers("H12")
def test_a_partial_change_after_retention_is_refused_until_the_rest_arrives(
    intake: Intake,
) -> None:
    instances = intake.screened()
    intake.purge(instances)

    with capture_logs() as lines:
        intake.store(changed(instances[:1], KVP="80"), FIRST)
        intake.settle()

    assert intake.revision(instances) == (1, SeriesState.DELIVERED, 3)
    history = intake.history(instances)
    refused = show_json(history)["change_refused"]
    assert refused == (
        "The change arrived with 1 images. 2 of those that were screened are missing: they are"
        " no longer in the spool, and no source PACS has told of them. Send the whole series"
        " again."
    )
    assert actions(history)[-1] == "change_refused"
    assert [one["event"] for one in lines].count("change_refused") == 1
    intake.restart()
    intake.now += INTERVAL_SECONDS
    intake.settle()
    assert actions(intake.history(instances)).count("change_refused") == 1

    intake.store(instances[1:], FIRST)
    intake.settle()

    assert intake.revision(instances) == (2, SeriesState.QUEUED, 3)
    assert show_json(intake.history(instances))["change_refused"] is None


def test_the_source_pacs_may_replace_what_retention_has_removed(
    intake: Intake, spool_dir: Path
) -> None:
    intake.settings = settings(spool_dir, source_pacs=PACS)
    intake.restart()
    instances = intake.screened()
    intake.purge(instances)

    intake.store(changed(instances[:1], KVP="80"), FIRST)
    # A PACS may send what it has with other header values.
    intake.store(changed(instances[1:], AccessionNumber="A-2"), ("PACS", "10.0.0.9"))
    intake.settle()

    assert intake.held_files() == []
    assert intake.revision(instances) == (2, SeriesState.QUEUED, 3)


def test_the_other_series_of_a_result_are_fetched_after_retention(
    intake: Intake, spool_dir: Path
) -> None:
    intake.settings = settings(
        spool_dir, source_pacs=PACS, result_per="study", study_quiet_seconds=0.01
    )
    intake.restart()
    first, second, third = (ct_series(2, StudyInstanceUID="1.2.3") for _ in range(3))
    intake.store([*first, *second, *third], FIRST)
    intake.settle()
    report_from(intake.sessions, 2)
    for series in (first, second, third):
        intake.purge(series)

    intake.store(changed(first, KVP="80"), FIRST)
    intake.now += QUIET_SECONDS + 1
    intake.registrar.tick(intake.now)

    assert intake.revision(first) == (2, SeriesState.QUEUED, 2)
    assert key_of(second) in intake.pending
    assert key_of(third) not in intake.pending
    intake.settle()  # the PACS does not answer: the study does not wait for ever
    assert key_of(second) not in intake.pending


def report_from(sessions: Sessions, count: int) -> None:
    """End the run over the study with a result of its first series, one hip each."""
    with sessions.begin() as session:
        study_id = session.scalars(select(Study.id)).one()
        held = lease_study(
            session, study_id, leased_by="w1", now=datetime.now(UTC), lease_seconds=60
        )
    assert held is not None
    ends = study_record.ends(sessions, held)
    used = [replace(end, state=SeriesState.SCREENED, is_used=True) for end in ends[:count]]
    hips = [
        replace(hip, series_id=end.series.series_id)
        for hip, end in zip(HIPS, used, strict=True)
    ]
    with sessions.begin() as session:
        save_study(
            session,
            held,
            [*used, *ends[count:]],
            used[0].series,
            NewResult(screening(), hips, objects(), [], folder="results/1.2.3/r1"),
            now=datetime.now(UTC),
        )


@pytest.mark.covers("H12")
def test_a_series_that_waits_and_has_lost_images_is_not_graded(intake: Intake) -> None:
    """An operator queues a series again after retention, and a part of it arrives."""
    instances = intake.screened()
    intake.purge(instances)
    with intake.sessions.begin() as session:
        series = intake.history(instances).series
        session.merge(series).state = SeriesState.QUEUED
    intake.store(changed(instances[:1], KVP="80"), FIRST)

    intake.settle()

    series = intake.history(instances).series
    assert (series.state, series.refused_count) == (SeriesState.QUEUED, 2)
