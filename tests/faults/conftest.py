"""One system for all fault tests; processes that a test has killed are restarted."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import fault_injection
from tests.support.quick_series import QuickSeries, make_quick_series
from tests.support.system_under_test import SystemUnderTest, running_system
from tests.support.tcp_fault_proxy import TcpFaultProxy

# A silent destination times out after 7 s instead of a minute, which is still longer than a
# claim (5 s); retries follow at once.
VALUES = {
    "worker.delivery.deliver_screening.ANSWER_SECONDS": 7,
    "worker.delivery.deliver_screening.RETRY_BASE_SECONDS": 0.5,
    "worker.screening.lease.RETRY_BASE_SECONDS": 0.5,
}


def start_worker(system: SystemUnderTest, **environment: str) -> None:
    """Start a worker with short retries; ``FAULT_KILL_AT`` : the step that kills it."""
    values = {"FAULT_VALUES": json.dumps(VALUES)}
    wait = "FAULT_KILL_AT" not in environment
    system.start_worker(*fault_injection.OPTIONS, wait=wait, **values, **environment)


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> QuickSeries:
    return make_quick_series(tmp_path_factory.mktemp("quick"))


@pytest.fixture(scope="session")
def _system(
    tmp_path_factory: pytest.TempPathFactory, model_dir: Path
) -> Iterator[tuple[SystemUnderTest, TcpFaultProxy]]:
    folder = tmp_path_factory.mktemp("system")
    with (
        running_system(folder, MODEL_DIR=model_dir) as system,
        TcpFaultProxy(system.orthanc.dicom_port) as proxy,
    ):
        pacs = system.orthanc.dimse_destination()
        system.settings["DESTINATIONS"] = [{**pacs, "port": proxy.port}]
        yield system, proxy


@pytest.fixture
def proxy(_system: tuple[SystemUnderTest, TcpFaultProxy]) -> Iterator[TcpFaultProxy]:
    """The proxy to the PACS, reset to "open" after the test."""
    _, proxy = _system
    yield proxy
    proxy.mode = "open"


@pytest.fixture
def scp_only(_system: tuple[SystemUnderTest, TcpFaultProxy]) -> SystemUnderTest:
    """The system without a running worker."""
    system, _ = _system
    system.worker.stop()
    if not system.scp.running:
        system.start_scp()
    system.reset()
    return system


@pytest.fixture
def system(_system: tuple[SystemUnderTest, TcpFaultProxy]) -> SystemUnderTest:
    """The system with all processes running, and an empty PACS."""
    system, _ = _system
    if not system.scp.running:
        system.start_scp()
    if not system.worker.running:
        start_worker(system)
    system.reset()
    return system
