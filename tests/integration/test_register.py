"""Covered: the ticks of the registrar on a real spool and PostgreSQL: scan, completion, a
series that cannot be registered, retention. The broker is down.

Not covered: the thread and the process around it (test_storescp.py, test_storescp_restarts.py).
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from common.settings.storescp import StoreScpSettings
from common.spool import layout
from common.spool.layout import SeriesKey
from common.spool.part10 import encode_header
from common.spool.writer import SpoolWriter
from common.task_publisher import TaskPublisher
from db import history
from db.models import Series
from db.session import make_engine, make_sessions
from db.states import SeriesState
from deploy.demo.embedded import free_port
from storescp.registration.associations import Associations
from storescp.registration.pending_series import PendingSeries
from storescp.registration.register import REPEAT_SECONDS, Registrar
from storescp.registration.scan import INTERVAL_SECONDS
from tests.support.ct_factory import ct_series, encode
from tests.support.record import lease, save

pytestmark = pytest.mark.servers

HOUR = 3600.0


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url, application_name="test")
    yield engine
    engine.dispose()


@pytest.fixture
def registrar(
    engine: Engine, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Registrar]:
    monkeypatch.setattr("storescp.registration.scan.FRESH_SECONDS", 0.0)
    publisher = TaskPublisher.from_url(f"redis://127.0.0.1:{free_port()}/0")
    settings = StoreScpSettings.model_validate(
        {"spool_dir": spool_dir, "quiet_seconds": 10, "result_per": "series"}
    )
    pending = PendingSeries()
    associations = Associations(pending, limit=32, limit_per_peer=16)
    yield Registrar(pending, associations, engine, publisher, settings)
    publisher.close()


def put(instances: list[Dataset], spool_dir: Path) -> SeriesKey:
    key = SeriesKey(instances[0].StudyInstanceUID, instances[0].SeriesInstanceUID)
    writer = SpoolWriter(spool_dir)
    for ds in instances:
        header = encode_header(CTImageStorage, ds.SOPInstanceUID, ExplicitVRLittleEndian, "A")
        writer.write(
            layout.instance_path(spool_dir, key, ds.SOPInstanceUID), (header, encode(ds))
        )
    return key


def series_of(engine: Engine, key: SeriesKey) -> Series | None:
    with make_sessions(engine)() as session:
        return history.series_by_uid(session, key.series_instance_uid)


def test_a_series_found_by_the_scan_waits_for_the_quiet_period(
    registrar: Registrar, engine: Engine, spool_dir: Path
) -> None:
    key, now = put(ct_series(3), spool_dir), time.monotonic()

    registrar.tick(now)
    opened = series_of(engine, key)
    registrar.tick(now + 11)
    queued = series_of(engine, key)

    assert opened is not None
    assert (opened.state, opened.revision) == (SeriesState.RECEIVING, 0)
    assert queued is not None
    assert (queued.state, queued.completed_by) == (SeriesState.QUEUED, "scan")


def test_the_scan_skips_very_new_changes(
    registrar: Registrar, engine: Engine, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storescp.registration.scan.FRESH_SECONDS", HOUR)
    key, now = put(ct_series(1), spool_dir), time.monotonic()

    registrar.tick(now)
    too_early = series_of(engine, key)
    monkeypatch.setattr("storescp.registration.scan.FRESH_SECONDS", 0.0)
    registrar.tick(now + HOUR)

    assert too_early is None
    assert series_of(engine, key) is not None


def test_a_series_that_cannot_be_registered_does_not_delay_others(
    registrar: Registrar, engine: Engine, spool_dir: Path
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE series ADD CHECK (patient_id IS DISTINCT FROM 'POISON')")
        )
    bad = put(ct_series(2, PatientID="POISON"), spool_dir)
    good = [put(ct_series(2), spool_dir) for _ in range(3)]
    now = time.monotonic()

    with capture_logs() as lines:
        registrar.tick(now)
        registrar.tick(now + 11)
        registrar.tick(now + 12)

    failures = [line for line in lines if line["event"] == "registration_failed"]
    assert [line["series_instance_uid"] for line in failures] == [bad.series_instance_uid]
    assert "POISON" not in str(lines)
    for key in good:
        series = series_of(engine, key)
        assert series is not None
        assert series.state is SeriesState.QUEUED

    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE series DROP CONSTRAINT series_patient_id_check"))
    registrar.tick(now + 12 + REPEAT_SECONDS)
    series = series_of(engine, bad)
    assert series is not None
    assert series.state is SeriesState.QUEUED


def test_an_unavailable_broker_costs_one_attempt_a_tick(
    registrar: Registrar, engine: Engine, spool_dir: Path
) -> None:
    keys = [put(ct_series(1), spool_dir) for _ in range(5)]
    now = time.monotonic()

    with capture_logs() as lines:
        registrar.tick(now)
        registrar.tick(now + 11)

    assert [line["event"] for line in lines].count("publish_failed") == 1
    assert all(series_of(engine, key) is not None for key in keys)


def test_pixels_that_are_purged_and_sent_again_are_no_new_revision(
    registrar: Registrar, engine: Engine, spool_dir: Path
) -> None:
    instances, now = ct_series(3), time.monotonic()
    key = put(instances, spool_dir)
    registrar.tick(now)
    registrar.tick(now + 11)
    first = series_of(engine, key)
    assert first is not None
    sessions = make_sessions(engine)
    save(sessions, lease(sessions, first.id, now=datetime.now(UTC)))

    layout.remove_series(spool_dir, key, before=datetime.now(UTC) + timedelta(days=1))
    registrar.tick(now + INTERVAL_SECONDS + 1)
    put(instances, spool_dir)
    with capture_logs() as lines:
        registrar.tick(now + 2 * INTERVAL_SECONDS + 2)
        registrar.tick(now + 2 * INTERVAL_SECONDS + 13)

    again = series_of(engine, key)
    assert "series_queued" not in [line["event"] for line in lines]
    assert again is not None
    assert (again.revision, again.state) == (1, SeriesState.DELIVERED)


def test_a_folder_without_instances_is_read_once(
    registrar: Registrar, engine: Engine, spool_dir: Path
) -> None:
    key, now = SeriesKey("1.2", "1.2.3"), time.monotonic()
    layout.series_folder(spool_dir, key).mkdir(parents=True)

    with capture_logs() as lines:
        for seconds in (0, 11, 31, 62, 93):
            registrar.tick(now + seconds)

    assert [line["event"] for line in lines].count("scan_found") == 1
