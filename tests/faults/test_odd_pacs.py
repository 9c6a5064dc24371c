"""Covered: delivery to a fleet of PACS with odd manners (tests/support/odd_manners.py), each
within a deadline; no object counts as delivered that the PACS does not hold.

Not covered: the record (tests/integration/test_pause.py, test_delivery_deadline.py).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from common import supervised
from common.settings.worker import Destination
from common.tls import SYSTEM
from tests.support.deliveries import dimse_destination, write_object
from tests.support.odd_manners import DICOMWEB, DIMSE, Fate
from tests.support.odd_pacs import OddPacs
from tests.support.stow_server import StowServer, running_stow_server
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


@pytest.fixture(scope="module")
def server() -> Iterator[StowServer]:
    with running_stow_server() as running:
        yield running


@pytest.mark.parametrize("name", DICOMWEB)
def test_a_delivery_to_an_odd_dicomweb_server_ends_as_expected(
    name: str, server: StowServer, path: Path
) -> None:
    odd = DICOMWEB[name]
    server.answer = odd.about(UID)

    outcome = deliver(path, server.destination())

    assert fate_of(outcome) == odd.fate, outcome


def test_the_fleet_has_forty_manners() -> None:
    assert len(DIMSE) + len(DICOMWEB) >= 40
