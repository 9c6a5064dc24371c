"""Covered: missing instances fetched by WADO-RS from a real Orthanc: few, or most of a series;
a server that fails within a series, or refuses it.

Not covered: when they are fetched (test_source_pacs.py, test_poller.py).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from pydicom import Dataset

from common.dicomnet.address import DicomwebPeer
from common.spool.layout import SeriesKey
from common.spool.part10 import read_header
from common.tls import Tls
from storescp.source_pacs.dicomweb import DicomwebSource
from storescp.source_pacs.source import SourceUnavailable
from tests.support.ct_factory import ct_series, encode, write_files
from tests.support.servers import Orthanc, storescu
from tests.support.storage_scp import StorageScpFixture

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
    """Run a proxy before Orthanc that answers requests for a series by ``series``.

    Yields its URL and the requested paths.
    """
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
    """Store a series in Orthanc."""
    series = ct_series(SLICES, size=64)
    sent = storescu(
        write_files(series, tmp_path / "in"),
        orthanc.dicom_port,
        called="ORTHANC",
        options=["-R"],
    )
    assert sent.returncode == 0, sent.stderr
    return series


def fetch(scp: StorageScpFixture, url: str, wanted: Sequence[Dataset]) -> None:
    peer = DicomwebPeer.model_validate({"kind": "dicomweb", "url": url})
    service = scp.service
    source = DicomwebSource(peer, tls=Tls(None, None, None), service=service)
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
def test_missing_instances_are_fetched_with_few_requests(
    missing: int,
    series: Answer,
    whole_series: int,
    single: int,
    instances: list[Dataset],
    orthanc: Orthanc,
    spool_dir: Path,
) -> None:
    scp = StorageScpFixture(spool_dir)
    wanted = instances[:missing]

    with relay(orthanc, series) as (url, asked):
        fetch(scp, url, wanted)

    assert sum("/instances/" not in path for path in asked) == whole_series
    assert abs(sum("/instances/" in path for path in asked) - single) <= (series is broken_off)
    assert scp.files() == sorted(scp.path_of(ds) for ds in wanted)
    for ds in wanted:
        path = scp.path_of(ds)
        assert path.read_bytes()[read_header(path).data_set_offset :] == encode(ds)


def test_a_failed_request_is_reported_after_the_others_succeed(
    instances: list[Dataset], orthanc: Orthanc, spool_dir: Path
) -> None:
    scp = StorageScpFixture(spool_dir)
    lost = instances[0].copy()
    lost.SOPInstanceUID = "1.2.3.4.5"

    with pytest.raises(SourceUnavailable, match="WADO-RS: HTTP 404"):
        fetch(scp, orthanc.dicomweb_url, [lost, *instances[1:4]])

    assert scp.files() == sorted(scp.path_of(ds) for ds in instances[1:4])
