"""Covered: files in the spool that end or overload the Storage SCP: it restarts, registers all
others, and moves the file to quarantine; ``doctor`` reports it.

Partner: a real PostgreSQL; the end is a SIGKILL where the file is read (fault injection).
"""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from common.spool import layout
from common.spool.layout import SeriesKey
from common.spool.part10 import encode_header
from common.spool.quarantine import list_quarantined
from common.spool.writer import SpoolWriter
from db import history
from db.models import Series
from db.session import make_engine, make_sessions
from db.states import SeriesState
from deploy.demo.processes import Process
from storescp.registration.read_attempts import MAX_ATTEMPTS
from tests.support.ct_factory import ct_series, encode
from tests.support.record import Sessions
from tests.support.servers import child_environment, wait_for
from worker.diagnostics.checks import check_quarantine

pytestmark = [pytest.mark.servers, pytest.mark.slow]

START = "import tests.support.fault_injection; from storescp.__main__ import main; main()"


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    engine = make_engine(database_url, application_name="test")
    yield make_sessions(engine)
    engine.dispose()


def put(instances: list[Dataset], spool_dir: Path) -> SeriesKey:
    key = SeriesKey(instances[0].StudyInstanceUID, instances[0].SeriesInstanceUID)
    for ds in instances:
        header = encode_header(ds.SOPClassUID, ds.SOPInstanceUID, "1.2.840.10008.1.2.1", "A")
        path = layout.instance_path(spool_dir, key, ds.SOPInstanceUID)
        SpoolWriter(spool_dir).write(path, (header, encode(ds)))
    return key


def queued(sessions: Sessions, key: SeriesKey) -> Series | None:
    with sessions() as session:
        series = history.series_by_uid(session, key.series_instance_uid)
    return series if series is not None and series.state is SeriesState.QUEUED else None


@pytest.mark.covers("T14")
def test_a_file_that_kills_the_process_is_quarantined_and_the_others_are_registered(
    child_settings: dict[str, object], sessions: Sessions, spool_dir: Path, tmp_path: Path
) -> None:
    series = [ct_series(3) for _ in range(3)]
    keys = [put(one, spool_dir) for one in series]
    deadly, killer = series[1], series[1][1].SOPInstanceUID
    faults = {
        "FAULT_KILL_AT": "storescp.registration.headers._instance",
        "FAULT_KILL_ON": killer,
    }
    process = Process(
        (sys.executable, "-c", START),
        environment=child_environment(child_settings) | faults,
        log_path=tmp_path / "storescp.log",
        cwd=tmp_path,
    )

    for attempt in range(MAX_ATTEMPTS):
        process.start()
        assert process.wait(60) == -signal.SIGKILL, process.log
        assert not list_quarantined(spool_dir)
        if attempt:  # the suspect is read last
            assert queued(sessions, keys[0])
            assert queued(sessions, keys[2])
    with process:
        found = wait_for(lambda: queued(sessions, keys[1]), "the rest of the series", 60)
        assert process.running

    assert found is not None
    assert found.instance_count == len(deadly) - 1
    [quarantined] = list_quarantined(spool_dir)
    assert quarantined.stem == killer
    assert "file_quarantined" in process.log
    check = check_quarantine(spool_dir)
    assert not check.ok
    assert check.detail.startswith("files that are not read: 1,")


def test_a_planted_file_over_a_limit_is_quarantined_at_once(
    child_settings: dict[str, object], sessions: Sessions, spool_dir: Path, tmp_path: Path
) -> None:
    instances = ct_series(3)
    instances[0].add_new(0x00191010, "OB", bytes(9_000_000))
    key = put(instances, spool_dir)

    with Process(
        (sys.executable, "-m", "storescp"),
        environment=child_environment(child_settings),
        log_path=tmp_path / "storescp.log",
        cwd=tmp_path,
    ) as process:
        found = wait_for(lambda: queued(sessions, key), "the rest of the series", 60)

    assert found is not None
    assert found.instance_count == 2
    assert [path.stem for path in list_quarantined(spool_dir)] == [instances[0].SOPInstanceUID]
    assert "header is over 8 MB" in process.log
