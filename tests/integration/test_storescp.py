"""Covered: ``python -m storescp`` as a process, with dcmtk's storescu as the modality, a real
PostgreSQL and a real Redis: registration and publication, revisions, unavailable database and
broker, SIGKILL, SIGTERM, restart, invalid settings, no patient data in the log.

Not covered: statuses and rejections (test_storage_server.py), screening (tests of the worker).
"""

import base64
import errno
import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from pydicom import Dataset
from sqlalchemy import select

from common.spool.layout import INCOMING, SeriesKey, instance_path
from common.spool.part10 import read_header
from common.task_publisher import SCREEN_TASK, SCREENING_QUEUE
from db import history
from db.models import Instance, Series
from db.queue_status import count_series
from db.session import make_engine, make_sessions
from db.states import SeriesState
from deploy.demo.embedded import Postgres, free_port
from deploy.demo.processes import STORESCP, Process
from tests.support.ct_factory import (
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    ct_series,
    encode,
    write_files,
)
from tests.support.record import Sessions, lease, save
from tests.support.servers import child_environment, storescu, wait_for, wait_until_listening

pytestmark = pytest.mark.servers
Settings = dict[str, object]
Start = Callable[[Settings], Process]


@pytest.fixture
def open_record() -> Iterator[Callable[[str], Sessions]]:
    engines = []

    def connect(url: str) -> Sessions:
        engines.append(make_engine(url, application_name="test"))
        return make_sessions(engines[-1])

    yield connect
    for engine in engines:
        engine.dispose()


@pytest.fixture
def sessions(open_record: Callable[[str], Sessions], database_url: str) -> Sessions:
    return open_record(database_url)


def send(
    instances: Sequence[Dataset], settings: Settings, folder: Path, *, calling: str = "CT_01"
) -> None:
    """Send instances on one association by dcmtk; check that all are acknowledged."""
    paths = write_files(instances, folder)
    result = storescu(paths, int(str(settings["PORT"])), calling=calling, options=["-R"])
    assert result.returncode == 0, result.stderr


def stored(ds: Dataset, settings: Settings) -> Path:
    key = SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
    return instance_path(Path(str(settings["SPOOL_DIR"])), key, ds.SOPInstanceUID)


def registered(
    sessions: Sessions,
    instances: Sequence[Dataset],
    *,
    revision: int = 1,
    seconds: float = 30,
) -> Series:
    """Wait until this revision of the series is queued."""

    def row() -> Series | None:
        with sessions() as session:
            series = history.series_by_uid(session, instances[0].SeriesInstanceUID)
        if series is None or series.revision != revision:
            return None
        return series if series.state is SeriesState.QUEUED else None

    found = wait_for(row, f"revision {revision} of the series", seconds)
    assert found is not None
    return found


def published_tasks(redis_url: str) -> list[list[object]]:
    """Return the arguments of the screening tasks in the queue."""
    with redis.Redis.from_url(redis_url) as client:
        messages = [json.loads(text) for text in client.lrange(SCREENING_QUEUE, 0, -1)]
    assert {message["headers"]["task"] for message in messages} <= {SCREEN_TASK}
    return [json.loads(base64.b64decode(message["body"]))[0] for message in messages]


def test_a_series_is_stored_registered_and_published(
    child_settings: Settings,
    start_storescp: Start,
    sessions: Sessions,
    redis_url: str,
    tmp_path: Path,
) -> None:
    process = start_storescp(child_settings)
    instances = ct_series(15)

    send(instances, child_settings, tmp_path / "in")
    series = registered(sessions, instances)

    assert (series.instance_count, series.calling_ae_title) == (15, "CT_01")
    assert (series.completed_by, series.patient_age_years) == ("released", 79)
    assert wait_for(lambda: published_tasks(redis_url), "the task") == [[series.id]]
    with sessions() as session:
        rows = session.scalars(select(Instance).where(Instance.series_id == series.id)).all()
    assert {row.sop_instance_uid for row in rows} == {ds.SOPInstanceUID for ds in instances}
    for ds in instances:
        path = stored(ds, child_settings)
        assert path.read_bytes()[read_header(path).data_set_offset :] == encode(ds)
    assert "series_queued" in process.log


def test_late_and_changed_instances_make_revisions_and_repeated_ones_none(
    child_settings: Settings,
    start_storescp: Start,
    sessions: Sessions,
    redis_url: str,
    tmp_path: Path,
) -> None:
    start_storescp(child_settings)
    instances = ct_series(6)
    send(instances[:5], child_settings, tmp_path / "a")
    first = registered(sessions, instances)
    save(sessions, lease(sessions, first.id, now=first.completed_at))

    send(instances[:5], child_settings, tmp_path / "again")
    time.sleep(2.5)
    with sessions() as session:
        assert session.get_one(Series, first.id).state is SeriesState.DELIVERED

    send(instances[5:], child_settings, tmp_path / "late")
    second = registered(sessions, instances, revision=2)
    assert (second.id, second.instance_count) == (first.id, 6)

    instances[0].KVP = "140"
    send(instances[:1], child_settings, tmp_path / "changed")
    registered(sessions, instances, revision=3)

    wait_for(lambda: len(published_tasks(redis_url)) == 3, "three tasks")
    assert published_tasks(redis_url) == [[first.id]] * 3


def test_eight_associations_make_one_series(
    child_settings: Settings, start_storescp: Start, sessions: Sessions, tmp_path: Path
) -> None:
    start_storescp(child_settings)
    instances = ct_series(48)
    threads = [
        threading.Thread(
            target=send, args=(instances[n::8], child_settings, tmp_path / f"in{n}")
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    wait_for(
        lambda: registered_count(sessions, instances) == 48,
        "all instances to be registered",
        30,
    )
    with sessions() as session:
        assert sum(count_series(session, now=datetime.now(UTC)).values()) == 1


def registered_count(sessions: Sessions, instances: Sequence[Dataset]) -> int:
    with sessions() as session:
        series = history.series_by_uid(session, instances[0].SeriesInstanceUID)
    return 0 if series is None else series.instance_count


@pytest.mark.covers("R3")
def test_no_instance_is_refused_or_lost_while_the_database_is_down(
    own_postgres: Postgres,
    child_settings: Settings,
    start_storescp: Start,
    open_record: Callable[[str], Sessions],
    tmp_path: Path,
) -> None:
    child_settings["DATABASE_URL"] = own_postgres.url
    process = start_storescp(child_settings)
    before, during = ct_series(4), ct_series(4)
    send(before, child_settings, tmp_path / "before")
    sessions = open_record(own_postgres.url)
    registered(sessions, before)

    own_postgres.stop()
    send(during, child_settings, tmp_path / "during")
    wait_for(lambda: "database_unavailable" in process.log, "the first failure")
    own_postgres.start()

    series = registered(open_record(own_postgres.url), during, seconds=60)
    assert series.instance_count == 4
    assert process.running


@pytest.mark.covers("R3")
def test_it_starts_and_accepts_without_a_database_and_a_broker(
    own_postgres: Postgres,
    child_settings: Settings,
    start_storescp: Start,
    open_record: Callable[[str], Sessions],
    tmp_path: Path,
) -> None:
    child_settings["DATABASE_URL"] = own_postgres.url
    child_settings["BROKER_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    own_postgres.stop()
    process = start_storescp(child_settings)
    instances = ct_series(3)

    send(instances, child_settings, tmp_path / "in")
    own_postgres.start()

    registered(open_record(own_postgres.url), instances, seconds=60)
    wait_for(lambda: "publish_failed" in process.log, "the failed publication")
    assert process.running


def test_after_sigkill_every_acknowledged_instance_is_complete_and_registered(
    child_settings: Settings,
    start_storescp: Start,
    sessions: Sessions,
    tmp_path: Path,
) -> None:
    process = start_storescp(child_settings)
    instances = ct_series(400, size=256)
    paths = write_files(instances, tmp_path / "in")
    results = []
    sender = threading.Thread(
        target=lambda: results.append(
            storescu(paths, int(str(child_settings["PORT"])), options=["-R", "-v"])
        )
    )
    sender.start()
    spool_dir = Path(str(child_settings["SPOOL_DIR"]))
    wait_for(lambda: len(list(spool_dir.rglob("*.dcm"))) > 20, "some instances")
    process.kill()
    sender.join()

    acknowledged = (results[0].stdout + results[0].stderr).count(
        "Received Store Response (Succ"
    )
    on_disk = [ds for ds in instances if stored(ds, child_settings).exists()]
    assert 20 <= acknowledged < 400  # the last of > 20 files may be unanswered
    assert acknowledged <= len(on_disk) <= acknowledged + 1
    for ds in on_disk:
        path = stored(ds, child_settings)
        assert path.read_bytes()[read_header(path).data_set_offset :] == encode(ds)

    (spool_dir / INCOMING / "left.part").write_bytes(b"half")
    start_storescp(child_settings)
    series = registered(sessions, instances)
    assert (series.instance_count, series.completed_by) == (len(on_disk), "scan")
    assert list((spool_dir / INCOMING).iterdir()) == []


def test_the_scan_registers_series_in_the_spool(
    child_settings: Settings, start_storescp: Start, sessions: Sessions, tmp_path: Path
) -> None:
    process = start_storescp(child_settings)
    known, unknown = ct_series(3), ct_series(3)
    send(known, child_settings, tmp_path / "known")
    registered(sessions, known)
    child_settings["QUIET_SECONDS"] = 600
    process.stop()
    process = start_storescp(child_settings | {"PORT": (port := free_port())})
    send(unknown, child_settings | {"PORT": port}, tmp_path / "unknown")
    process.stop()

    child_settings["QUIET_SECONDS"] = 1
    process = start_storescp(child_settings)

    assert registered(sessions, unknown).completed_by == "scan"
    assert process.log.count("series_queued") == 1


def test_sigterm_lets_an_association_finish_and_exits_0(
    child_settings: Settings, start_storescp: Start, tmp_path: Path
) -> None:
    process = start_storescp(child_settings)
    instances = ct_series(150, size=128)
    paths = write_files(instances, tmp_path / "in")
    results = []
    sender = threading.Thread(
        target=lambda: results.append(
            storescu(paths, int(str(child_settings["PORT"])), options=["-R"])
        )
    )
    sender.start()
    spool_dir = Path(str(child_settings["SPOOL_DIR"]))
    wait_for(lambda: any(spool_dir.rglob("*.dcm")), "the first instance")

    assert process.stop() == 0
    sender.join()

    assert results[0].returncode == 0, results[0].stderr
    assert len(list(spool_dir.rglob("*.dcm"))) == 150
    assert "storescp_stopped" in process.log


def test_the_log_names_no_patient(
    child_settings: Settings, start_storescp: Start, sessions: Sessions, tmp_path: Path
) -> None:
    process = start_storescp(child_settings | {"LOG_FORMAT": "json"})
    instances = ct_series(3, PatientAge=None)
    paths = write_files(instances, tmp_path / "in")
    for path in paths:  # pydicom repeats invalid values in its warnings
        path.write_bytes(path.read_bytes().replace(PATIENT_BIRTH_DATE.encode(), b"1947XX04"))

    result = storescu(paths, int(str(child_settings["PORT"])), options=["-R"])
    series = registered(sessions, instances)
    process.stop()

    assert result.returncode == 0
    assert (series.patient_id, series.patient_age_years) == (PATIENT_ID, None)
    for secret in (PATIENT_NAME, PATIENT_ID, PATIENT_BIRTH_DATE, "Walburga", "1947XX04"):
        assert secret not in process.log
    lines = [json.loads(line) for line in process.log.splitlines()]
    assert "series_queued" in {line["event"] for line in lines}
    assert all({"level", "timestamp"} <= set(line) for line in lines)


@pytest.mark.parametrize(
    ("setting", "value", "code", "line"),
    [
        ("ALLOWED_PEERS", "everybody", 2, "OSTEOSCREEN_ALLOWED_PEERS"),
        ("ALLOW_ANY_CALLING_AE", "false", 2, "OSTEOSCREEN_ALLOWED_CALLING_AETS: no sender"),
        ("SPOOL_DIR", "/proc/none", 2, "OSTEOSCREEN_SPOOL_DIR"),
        ("TLS_CERT", __file__, 2, "OSTEOSCREEN_TLS_CERT"),
        ("TLS_CLIENT_CERTIFICATE", "true", 2, "OSTEOSCREEN_TLS_CLIENT_CERTIFICATE"),
        ("HOST", "nosuchhost.invalid", 2, "OSTEOSCREEN_HOST and OSTEOSCREEN_PORT"),
    ],
)
@pytest.mark.covers("R18")
def test_a_wrong_setting_stops_with_one_line(
    setting: str, value: str, code: int, line: str, child_settings: Settings, tmp_path: Path
) -> None:
    process = run(child_settings | {setting: value}, tmp_path)

    assert process.return_code == code
    assert line in process.log
    assert "Traceback" not in process.log


def test_an_old_schema_stops_it_with_the_remedy(
    postgres_url: str, child_settings: Settings, tmp_path: Path
) -> None:
    process = run(child_settings | {"DATABASE_URL": postgres_url}, tmp_path)

    assert process.return_code == 1
    assert "run `python -m db upgrade`" in process.log


def test_a_port_that_is_taken_stops_it_with_one_line(
    child_settings: Settings, start_storescp: Start, tmp_path: Path
) -> None:
    start_storescp(child_settings)

    process = run(child_settings, tmp_path)

    assert process.return_code == 2
    assert (
        f"OSTEOSCREEN_HOST and OSTEOSCREEN_PORT: {os.strerror(errno.EADDRINUSE)}" in process.log
    )
    assert "Traceback" not in process.log


def test_metrics_are_served(
    child_settings: Settings, start_storescp: Start, sessions: Sessions, tmp_path: Path
) -> None:
    port = free_port()
    process = start_storescp(child_settings | {"METRICS_PORT": port})
    wait_until_listening(process, port)
    instances = ct_series(3)
    send(instances, child_settings, tmp_path / "in")
    registered(sessions, instances)

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()

    assert 'osteoscreen_instances_total{status="0x0000"} 3.0' in text
    assert 'osteoscreen_associations_total{outcome="released"} 1.0' in text
    assert "osteoscreen_open_associations 0.0" in text


def run(settings: Settings, folder: Path) -> Process:
    """Run the service to its end and return the process."""
    process = Process(
        STORESCP,
        environment=child_environment(settings),
        log_path=folder / "run.log",
        cwd=folder,
    )
    with process:
        process.wait(30)
    return process
