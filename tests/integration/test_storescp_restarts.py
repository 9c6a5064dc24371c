"""Covered: python -m storescp without database and broker, after SIGKILL and SIGTERM, and
series that are in the spool at the start, with dcmtk's storescu as the modality.

Not covered: registration otherwise (test_storescp.py).
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.spool.layout import INCOMING
from common.spool.part10 import read_header
from db.session import make_engine, make_sessions
from deploy.demo.embedded import Postgres, free_port
from tests.support.ct_factory import ct_series, encode, write_files
from tests.support.record import Sessions
from tests.support.sent_series import Settings, registered, send, stored
from tests.support.servers import require_tool, storescu, wait_for
from tests.support.services import StartProcess

pytestmark = pytest.mark.servers


@pytest.fixture
def open_record() -> Iterator[Callable[[str], Sessions]]:
    engines = []

    def connect(url: str) -> Sessions:
        engines.append(make_engine(url, application_name="test"))
        return make_sessions(engines[-1])

    yield connect
    for engine in engines:
        engine.dispose()


@pytest.mark.covers("R3")
def test_no_instance_is_refused_or_lost_while_the_database_is_down(
    own_postgres: Postgres,
    child_settings: Settings,
    start_storescp: StartProcess,
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
    start_storescp: StartProcess,
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
    start_storescp: StartProcess,
    sessions: Sessions,
    tmp_path: Path,
) -> None:
    require_tool("storescu", "dcmtk")  # a thread cannot skip its test
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
    child_settings: Settings, start_storescp: StartProcess, sessions: Sessions, tmp_path: Path
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
    child_settings: Settings, start_storescp: StartProcess, tmp_path: Path
) -> None:
    require_tool("storescu", "dcmtk")  # a thread cannot skip its test
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
