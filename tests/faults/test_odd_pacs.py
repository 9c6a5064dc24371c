"""Covered: delivery to a fleet of PACS with odd manners (tests/support/odd_manners.py), each
within a deadline; no object counts as delivered that the PACS does not hold.

Not covered: the record (tests/integration/test_pause.py, test_delivery_deadline.py).
"""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from common import supervised
from common.settings.worker import Destination, DicomwebDestination
from common.tls import SYSTEM
from tests.support.deliveries import dimse_destination, write_object
from tests.support.odd_manners import DICOMWEB, DIMSE, Fate, HttpAnswer
from tests.support.odd_pacs import OddPacs
from worker.delivery.result import Accepted, Outcome, Refused
from worker.delivery.send import Job, NotSent, send

LIMIT_SECONDS = 30.0
UID = "1.2.826.0.1.1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_object(tmp_path, SecondaryCaptureImageStorage, "1.2.3", UID)


def deliver(path: Path, destination: Destination) -> Outcome | None:
    """Deliver one object as the worker does; None: it ended at its deadline."""
    job = Job(
        (path,), destination, "OSTEOSCREEN", SYSTEM, "2.25.7",
        answer_seconds=4, report_seconds=1,
    )  # fmt: skip
    try:
        sent = supervised.call(send, job, seconds=LIMIT_SECONDS, raises=(NotSent,))
    except supervised.DeadlineExceeded:
        return None
    return sent.outcomes[UID]


def fate_of(outcome: Outcome | None) -> Fate:
    match outcome:
        case Accepted():
            return "delivered"
        case Refused():
            return "refused"
        case None:
            return "transient"
    return "blocked" if outcome.blocks_destination else "transient"


@pytest.mark.parametrize("name", DIMSE)
def test_a_delivery_to_an_odd_pacs_ends_as_expected(name: str, path: Path) -> None:
    odd = DIMSE[name]
    with OddPacs(odd.manner) as pacs:
        outcome = deliver(path, dimse_destination(pacs.port))

    assert fate_of(outcome) == odd.fate, outcome


class Server(ThreadingHTTPServer):
    answer: HttpAnswer


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.answer
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            return
        body = answer.body.replace("{uid}", UID).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Suppress the log."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("name", DICOMWEB)
def test_a_delivery_to_an_odd_dicomweb_server_ends_as_expected(
    name: str, server: Server, path: Path
) -> None:
    server.answer = DICOMWEB[name]
    url = f"http://127.0.0.1:{server.server_port}/dicom-web"
    destination = DicomwebDestination.model_validate(
        {"kind": "dicomweb", "name": "archive", "url": url}
    )

    outcome = deliver(path, destination)

    assert fate_of(outcome) == server.answer.fate, outcome


def test_the_fleet_has_forty_manners() -> None:
    assert len(DIMSE) + len(DICOMWEB) >= 40
