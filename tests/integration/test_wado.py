"""Covered: what is missing, fetched by WADO-RS from a real Orthanc: few instances, most of a
series, and a server that breaks off in the middle of a series or does not give it at all.

Not covered: when it is fetched (test_source_pacs.py, tests/unit/storescp/source/test_asker.py).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from pydicom import Dataset

from db.spool import SeriesKey
from db.tls import Tls
from peers.address import DicomwebPeer
from storescp.operation import Intake
from storescp.part10 import read_header
from storescp.source.dicomweb import DicomwebSource
from storescp.source.pacs import SourceUnavailable
from tests.ct_factory import ct_series, encode, write_files
from tests.integration.door import Door
from tests.servers import Orthanc, storescu

pytestmark = pytest.mark.servers
SLICES = 12
Answer = Callable[[bytes], tuple[int, bytes]]


def whole(body: bytes) -> tuple[int, bytes]:
    return 200, body


def broken_off(body: bytes) -> tuple[int, bytes]:
    return 200, body[: len(body) // 2]


def forbidden(_: bytes) -> tuple[int, bytes]:
    return 403, b""


@contextmanager
def relay(orthanc: Orthanc, series: Answer) -> Iterator[tuple[str, list[str]]]:
    """Before Orthanc: answers by it, whole series by ``series``; its URL and what was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            headers = {"Accept": self.headers["Accept"]}
            answer = requests.get(orthanc.dicomweb_url + self.path, headers=headers, timeout=30)
            is_series = "/instances" not in self.path
            status, body = (series if is_series else whole)(answer.content)
            self.send_response(status if answer.ok else answer.status_code)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def instances(orthanc: Orthanc, tmp_path: Path) -> list[Dataset]:
    """A series that Orthanc has."""
    series = ct_series(SLICES, size=64)
    sent = storescu(
        write_files(series, tmp_path / "in"),
        orthanc.dicom_port,
        called="ORTHANC",
        options=["-R"],
    )
    assert sent.returncode == 0, sent.stderr
    return series


def fetch(door: Door, url: str, wanted: Sequence[Dataset]) -> None:
    peer = DicomwebPeer.model_validate({"kind": "dicomweb", "url": url})
    intake = Intake(door.writer, door.settings, door.arrivals)
    source = DicomwebSource(peer, tls=Tls(None, None, None), intake=intake)
    key = SeriesKey(wanted[0].StudyInstanceUID, wanted[0].SeriesInstanceUID)
    source.fetch(key, [str(ds.SOPInstanceUID) for ds in wanted], of=SLICES)


@pytest.mark.parametrize(
    ("missing", "series", "whole_series", "single"),
    [
        (3, whole, 0, 3),
        (SLICES, whole, 1, 0),
        (SLICES, broken_off, 1, SLICES // 2 + 1),
        (SLICES, forbidden, 1, SLICES),
    ],
)
def test_what_is_missing_comes_with_few_requests_whatever_the_pacs_does(
    missing: int,
    series: Answer,
    whole_series: int,
    single: int,
    instances: list[Dataset],
    orthanc: Orthanc,
    spool_dir: Path,
) -> None:
    door = Door(spool_dir)
    wanted = instances[:missing]

    with relay(orthanc, series) as (url, asked):
        fetch(door, url, wanted)

    assert sum("/instances/" not in path for path in asked) == whole_series
    assert abs(sum("/instances/" in path for path in asked) - single) <= (series is broken_off)
    assert door.files() == sorted(door.path_of(ds) for ds in wanted)
    for ds in wanted:
        path = door.path_of(ds)
        assert path.read_bytes()[read_header(path).data_set_offset :] == encode(ds)


def test_what_one_request_cannot_get_is_said_after_the_others_have_come(
    instances: list[Dataset], orthanc: Orthanc, spool_dir: Path
) -> None:
    door = Door(spool_dir)
    lost = instances[0].copy()
    lost.SOPInstanceUID = "1.2.3.4.5"

    with pytest.raises(SourceUnavailable, match="WADO-RS: HTTP 404"):
        fetch(door, orthanc.dicomweb_url, [lost, *instances[1:4]])

    assert door.files() == sorted(door.path_of(ds) for ds in instances[1:4])
