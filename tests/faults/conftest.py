"""One hospital for all tests of faults: whatever a test has killed is up again for the next."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import inject
from tests.faults.hospital import Hospital, running_hospital
from tests.faults.line import Line
from tests.faults.quick import QuickSeries, make_quick_series

# A destination that is silent is given up after the third part of a minute that the real one
# has, longer than a claim lasts; what failed is tried again at once.
VALUES = {
    "peers.association.associated.__wrapped__.__kwdefaults__": {
        "handlers": [],
        "answer_seconds": 7,
    },
    "worker.delivery.RETRY_BASE_SECONDS": 0.5,
    "worker.heartbeat.RETRY_BASE_SECONDS": 0.5,
}
StartWorker = Callable[..., None]


def start_worker(hospital: Hospital, **environment: str) -> None:
    """A worker with short pauses; ``FAULT_KILL_AT`` says where it dies."""
    values = {"FAULT_VALUES": json.dumps(VALUES)}
    wait = "FAULT_KILL_AT" not in environment
    hospital.start_worker(*inject.OPTIONS, wait=wait, **values, **environment)


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> QuickSeries:
    return make_quick_series(tmp_path_factory.mktemp("quick"))


@pytest.fixture(scope="session")
def _hospital(
    tmp_path_factory: pytest.TempPathFactory, model_dir: Path
) -> Iterator[tuple[Hospital, Line]]:
    folder = tmp_path_factory.mktemp("hospital")
    with (
        running_hospital(folder, MODEL_DIR=model_dir) as hospital,
        Line(hospital.orthanc.dicom_port) as line,
    ):
        pacs = hospital.orthanc.dimse_destination()
        hospital.settings["DESTINATIONS"] = [{**pacs, "port": line.port}]
        yield hospital, line


@pytest.fixture
def line(_hospital: tuple[Hospital, Line]) -> Iterator[Line]:
    """The line to the PACS, open again after the test."""
    _, line = _hospital
    yield line
    line.mode = "open"


@pytest.fixture
def scp_only(_hospital: tuple[Hospital, Line]) -> Hospital:
    """The hospital, before its worker has come."""
    hospital, _ = _hospital
    hospital.worker.stop()
    if not hospital.scp.running:
        hospital.start_scp()
    hospital.forget()
    return hospital


@pytest.fixture
def hospital(_hospital: tuple[Hospital, Line]) -> Hospital:
    """The hospital with everything up, and an empty PACS."""
    hospital, _ = _hospital
    if not hospital.scp.running:
        hospital.start_scp()
    if not hospital.worker.running:
        start_worker(hospital)
    hospital.forget()
    return hospital
