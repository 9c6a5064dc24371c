"""Covered: ``python -m storescp`` with a real Orthanc as source PACS: counts and fetches by
QIDO-RS and WADO-RS, by C-FIND and C-MOVE; a correction after retention; a PACS that is down,
and one that is silent.

Not covered: TLS (the code of delivery, test_delivery_tls.py); wrong counts, which a real
PACS does not give (tests/unit/storescp/source_pacs/test_poller.py).
"""

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import Engine

from common.spool.layout import SeriesKey, list_instances, remove_series
from common.spool.part10 import read_header
from db import history
from db.models import Series
from db.session import make_engine, make_sessions
from db.states import SeriesState
from deploy.demo.embedded import free_port
from deploy.demo.processes import Process
from tests.support.ct_factory import PATIENT_ID, PATIENT_NAME, ct_series, write_files
from tests.support.record import lease, save
from tests.support.servers import Orthanc, running_orthanc, storescu, wait_for

pytestmark = pytest.mark.servers
Settings = dict[str, object]
Start = Callable[[Settings], Process]
LONG_QUIET_SECONDS = 20


@pytest.fixture
def pacs(child_settings: Settings, tmp_path: Path) -> Iterator[Orthanc]:
    """Run an Orthanc with the Storage SCP as a destination of C-MOVE."""
    us = ["OSTEOSCREEN", "127.0.0.1", child_settings["PORT"]]
    with running_orthanc(tmp_path / "pacs", DicomModalities={"us": us}) as server:
        yield server


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url, application_name="test")
    yield engine
    engine.dispose()


def source(pacs: Orthanc, kind: str) -> dict[str, object]:
    entry = pacs.dimse_destination() if kind == "dimse" else pacs.dicomweb_destination()
    del entry["name"]
    return entry


def fill(pacs: Orthanc, paths: list[Path]) -> None:
    sent = storescu(paths, pacs.dicom_port, called="ORTHANC", options=["-R"])
    assert sent.returncode == 0, sent.stderr


def send(paths: list[Path], settings: Settings, *, one_by_one: bool = False) -> None:
    """Send files on one association, or on one association each."""
    for some in [[path] for path in paths] if one_by_one else [paths]:
        sent = storescu(some, int(str(settings["PORT"])), options=["-R"])
        assert sent.returncode == 0, sent.stderr


def queued(engine: Engine, instances: list[Dataset], seconds: float = 30) -> Series:
    def row() -> Series | None:
        with make_sessions(engine)() as session:
            series = history.series_by_uid(session, instances[0].SeriesInstanceUID)
        return series if series and series.state is SeriesState.QUEUED else None

    found = wait_for(row, "the series to be queued", seconds)
    assert found is not None
    return found


def data_sets(spool_dir: Path) -> set[bytes]:
    """Return the encoded data sets in the spool."""
    paths = list(spool_dir.glob("*/*/*.dcm"))
    return {path.read_bytes()[read_header(path).data_set_offset :] for path in paths}


@pytest.mark.parametrize("kind", ["dimse", "dicomweb"])
@pytest.mark.covers("R4")
def test_a_count_that_is_reached_ends_the_quiet_period(
    kind: str,
    pacs: Orthanc,
    child_settings: Settings,
    start_storescp: Start,
    engine: Engine,
    tmp_path: Path,
) -> None:
    instances = ct_series(6)
    paths = write_files(instances, tmp_path / "in")
    fill(pacs, paths)
    start_storescp(
        child_settings
        | {"QUIET_SECONDS": LONG_QUIET_SECONDS, "SOURCE_PACS": source(pacs, kind)}
    )

    send(paths, child_settings, one_by_one=True)
    sent_at = time.monotonic()
    series = queued(engine, instances)

    assert time.monotonic() - sent_at < LONG_QUIET_SECONDS / 2
    assert (series.completed_by, series.expected_count, series.instance_count) == (
        "count", 6, 6
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["dimse", "dicomweb"])
def test_missing_instances_are_fetched_unchanged(
    kind: str,
    pacs: Orthanc,
    child_settings: Settings,
    start_storescp: Start,
    engine: Engine,
    spool_dir: Path,
    tmp_path: Path,
) -> None:
    instances = ct_series(12, size=512)
    paths = write_files(instances, tmp_path / "in")
    fill(pacs, paths)
    process = start_storescp(
        child_settings | {"QUIET_SECONDS": 4, "SOURCE_PACS": source(pacs, kind)}
    )

    send(paths[:5] + paths[8:], child_settings)
    series = queued(engine, instances)

    assert (series.completed_by, series.expected_count, series.instance_count) == (
        "count", 12, 12
    )  # fmt: skip
    assert data_sets(spool_dir) == {
        path.read_bytes()[read_header(path).data_set_offset :] for path in paths
    }
    assert series.revision == 1
    assert "fetched_missing" in process.log
    assert "arrived=3" in process.log
    assert not any(word in process.log for word in (PATIENT_NAME, PATIENT_ID))


@pytest.mark.parametrize("kind", ["dimse", "dicomweb"])
def test_a_correction_after_retention_is_completed_from_the_pacs(
    kind: str,
    pacs: Orthanc,
    child_settings: Settings,
    start_storescp: Start,
    engine: Engine,
    spool_dir: Path,
    tmp_path: Path,
) -> None:
    instances = ct_series(6)
    paths = write_files(instances, tmp_path / "in")
    fill(pacs, paths)
    settings = child_settings | {
        "QUIET_SECONDS": 4,
        "RESULT_PER": "series",
        "SOURCE_PACS": source(pacs, kind),
    }
    start_storescp(settings)
    send(paths, settings)
    sessions = make_sessions(engine)
    save(sessions, lease(sessions, queued(engine, instances, 120).id, now=datetime.now(UTC)))
    key = SeriesKey(instances[0].StudyInstanceUID, instances[0].SeriesInstanceUID)
    remove_series(spool_dir, key, before=datetime.now(UTC) + timedelta(days=1))

    corrected = instances[0]
    corrected.KVP = "80"
    send(write_files([corrected], tmp_path / "again"), settings)
    series = queued(engine, instances, 120)

    assert (series.revision, series.instance_count, series.expected_count) == (2, 6, 6)
    stored = [dcmread(path) for path in list_instances(spool_dir, key)]
    assert {ds.SOPInstanceUID: ds.KVP for ds in stored} == {
        ds.SOPInstanceUID: ds.KVP for ds in instances
    }


def test_the_wait_for_instances_that_the_pacs_cannot_send_is_limited(
    child_settings: Settings,
    start_storescp: Start,
    engine: Engine,
    tmp_path: Path,
) -> None:
    """The PACS does not have the Storage SCP as a destination: C-MOVE 0xA801."""
    instances = ct_series(5)
    paths = write_files(instances, tmp_path / "in")
    with running_orthanc(
        tmp_path / "unconfigured", DicomAlwaysAllowFind=True, DicomAlwaysAllowMove=True
    ) as pacs:
        fill(pacs, paths)
        process = start_storescp(
            child_settings | {"QUIET_SECONDS": 1, "SOURCE_PACS": source(pacs, "dimse")}
        )

        send(paths[:3], child_settings)
        series = queued(engine, instances)

    assert series.completed_by != "count"
    assert (series.expected_count, series.instance_count) == (5, 3)
    assert "source_pacs_unavailable" in process.log


@pytest.mark.parametrize("kind", ["dimse", "dicomweb"])
@pytest.mark.covers("R4")
def test_without_an_answer_the_quiet_period_decides(
    kind: str,
    child_settings: Settings,
    start_storescp: Start,
    engine: Engine,
    tmp_path: Path,
) -> None:
    """The port of the PACS is closed, or it accepts the connection and is silent."""
    instances, others = ct_series(3), ct_series(3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port, some in ((free_port(), instances), (silent.getsockname()[1], others)):
            address = (
                {"kind": "dimse", "ae_title": "P", "host": "127.0.0.1", "port": port}
                if kind == "dimse"
                else {"kind": "dicomweb", "url": f"http://127.0.0.1:{port}/dicom-web"}
            )
            settings = child_settings | {"PORT": free_port(), "SOURCE_PACS": address}
            process = start_storescp(settings)

            sent_at = time.monotonic()
            send(write_files(some, tmp_path / str(port)), settings)
            series = queued(engine, some)

            assert time.monotonic() - sent_at < 6  # of which 1 s is quiet
            assert series.completed_by != "count"
            assert series.expected_count is None
            process.stop()
