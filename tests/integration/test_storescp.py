"""Covered: ``python -m storescp`` as a process, with dcmtk's storescu as the modality, a real
PostgreSQL and a real Redis: registration and publication, revisions, invalid settings, no
patient data in the log, metrics.

Not covered: restarts (test_storescp_restarts.py), statuses (test_storage_server.py), screening
(tests of the worker).
"""

import base64
import errno
import json
import os
import threading
import time
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from pydicom import Dataset
from sqlalchemy import select

from common.spool.part10 import read_header
from common.task_publisher import SCREEN_TASK, SCREENING_QUEUE
from db import history
from db.models import Instance, Series
from db.queue_status import count_series
from db.states import SeriesState
from deploy.demo.embedded import free_port
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
from tests.support.sent_series import Settings, registered, send, stored
from tests.support.servers import (
    child_environment,
    require_tool,
    storescu,
    wait_for,
    wait_until_listening,
)
from tests.support.services import StartProcess

pytestmark = pytest.mark.servers


def published_tasks(redis_url: str) -> list[list[object]]:
    """Return the arguments of the screening tasks in the queue."""
    with redis.Redis.from_url(redis_url) as client:
        messages = [json.loads(text) for text in client.lrange(SCREENING_QUEUE, 0, -1)]
    assert {message["headers"]["task"] for message in messages} <= {SCREEN_TASK}
    return [json.loads(base64.b64decode(message["body"]))[0] for message in messages]


def test_a_series_is_stored_registered_and_published(
    child_settings: Settings,
    start_storescp: StartProcess,
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
    start_storescp: StartProcess,
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
    child_settings: Settings, start_storescp: StartProcess, sessions: Sessions, tmp_path: Path
) -> None:
    require_tool("storescu", "dcmtk")  # a thread cannot skip its test
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


def test_the_log_names_no_patient(
    child_settings: Settings, start_storescp: StartProcess, sessions: Sessions, tmp_path: Path
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
    child_settings: Settings, start_storescp: StartProcess, tmp_path: Path
) -> None:
    start_storescp(child_settings)

    process = run(child_settings, tmp_path)

    assert process.return_code == 2
    assert (
        f"OSTEOSCREEN_HOST and OSTEOSCREEN_PORT: {os.strerror(errno.EADDRINUSE)}" in process.log
    )
    assert "Traceback" not in process.log


def test_metrics_are_served(
    child_settings: Settings, start_storescp: StartProcess, sessions: Sessions, tmp_path: Path
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
