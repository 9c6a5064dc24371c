"""Covered: data sets that would cost gigabytes or minutes, sent by DIMSE and STOW-RS to
``python -m storescp``: refused, within memory, without a file outside of the spool, while
another series is registered.

Not covered: each limit by itself (unit/common/dicom).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from common.dicomnet import status
from common.spool.part10 import encode_header
from db import history
from db.session import make_engine, make_sessions
from db.states import SeriesState
from deploy.demo.embedded import free_port
from tests.support.bombs import MAX_INTAKE_MEGABYTES, REFUSED, made, peak_megabytes, send
from tests.support.ct_factory import ct_series, write_files
from tests.support.record import Sessions
from tests.support.servers import storescu, wait_for, wait_until_listening
from tests.support.services import StartProcess
from tests.support.stow_request import FILE_TYPE, body_of

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    engine = make_engine(database_url, application_name="test")
    yield make_sessions(engine)
    engine.dispose()


@pytest.mark.covers("T14")
def test_bombs_are_refused_within_memory_while_others_are_registered(
    child_settings: dict[str, object],
    start_storescp: StartProcess,
    sessions: Sessions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    port = int(str(child_settings["PORT"]))
    stow_port = free_port()
    process = start_storescp(
        child_settings | {"STOW_HOST": "127.0.0.1", "STOW_PORT": str(stow_port)}
    )
    wait_until_listening(process, stow_port)
    environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert f"TMPDIR={temporary}".encode() in environment
    innocent = ct_series(12)

    for number, kind in enumerate(REFUSED):
        ds, syntax, encoded = made(kind)
        answer = send(ds, syntax, encoded, port)
        assert answer.Status == status.UNDECODABLE, kind
        assert answer.ErrorComment
        header = encode_header(ds.SOPClassUID, ds.SOPInstanceUID, syntax, "A")
        response = requests.post(
            f"http://127.0.0.1:{stow_port}/studies",
            data=body_of([header + encoded]),
            headers={"Content-Type": FILE_TYPE},
            timeout=60,
        )
        assert response.status_code == 409, kind
        if number == 0:
            paths = write_files(innocent, tmp_path / "in")
            assert storescu(paths, port, calling="CT_01", options=["-R"]).returncode == 0

    def queued() -> bool:
        with sessions() as session:
            series = history.series_by_uid(session, innocent[0].SeriesInstanceUID)
        return series is not None and series.state is SeriesState.QUEUED

    wait_for(queued, "the innocent series", 30)
    spool = Path(str(child_settings["SPOOL_DIR"]))
    assert len(list(spool.rglob("*.dcm"))) == len(innocent)
    assert not list(temporary.iterdir())
    peaks = peak_megabytes(process.pid)
    print(f"peak resident memory, MB: {peaks}")
    assert max(peaks.values()) < MAX_INTAKE_MEGABYTES
