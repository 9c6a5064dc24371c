"""Covered: a fetch by WADO-RS from servers that send byte after byte without an end: in the TLS
handshake, in the status line, in the headers, in the body.

Not covered: fetches that succeed (tests/integration/test_wado.py).
"""

from pathlib import Path

import pytest

from common.dicomnet.address import DicomwebPeer
from common.spool.layout import SeriesKey
from common.tls import SYSTEM
from storescp.source_pacs import dicomweb
from storescp.source_pacs.source import SourceUnavailable
from tests.support.dribbling_server import TLS_HELLO, dribbling_server
from tests.support.storage_scp import StorageScpFixture

STATUS = b"HTTP/1.1 200 OK\r\n"
TYPE = b"Content-Type: multipart/related; type=application/dicom; boundary=b\r\n"
PART = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(PART), PART)
MANNERS = {
    "TLS handshake": ("https", TLS_HELLO, b"\0"),
    "status line": ("http", b"HTTP/1.1 ", b"2"),
    "headers": ("http", STATUS, b"X: y\r\n"),
    "body": ("http", STATUS + TYPE + b"Content-Length: 999999\r\n\r\n" + PART, b"x"),
    "body without a length": ("http", STATUS + TYPE + b"\r\n" + PART, b"x"),
    "chunks": (
        "http",
        STATUS + TYPE + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK,
        b"1\r\nx\r\n",
    ),
}

# http.client ends these by itself where it is quick: at 100 headers, at a status of 4 digits.
QUICK = ("WADO-RS: not complete within 0.3 s", "no answer from the server (ConnectionError)")


@pytest.mark.parametrize("name", MANNERS)
@pytest.mark.parametrize("of", [1, 10], ids=["whole series", "single instances"])
def test_a_fetch_ends_at_its_deadline(
    name: str, of: int, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicomweb, "FETCH_LIMIT_SECONDS", 0.3)
    scheme, first, part = MANNERS[name]

    with dribbling_server(first, part) as port:
        peer = DicomwebPeer.model_validate(
            {"kind": "dicomweb", "url": f"{scheme}://127.0.0.1:{port}"}
        )
        source = dicomweb.DicomwebSource(
            peer, tls=SYSTEM, service=StorageScpFixture(spool_dir).service
        )
        with pytest.raises(SourceUnavailable) as raised:
            source.fetch(SeriesKey("1.2", "1.2.3"), ["1.2.3.4", "1.2.3.5"], of=of)

    assert str(raised.value) in QUICK
