"""Covered: the processes that receive, of ``python -m storescp``: how connections are shared
out, limits and metrics over all of them, what the end of one or of the main process brings.

Not covered: SIGKILL of all at once (tests/faults); what one does (test_storage_server.py).
"""

import itertools
import os
import resource
import signal
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, Association
from pynetdicom.sop_class import CTImageStorage

from deploy.embedded import free_port
from deploy.processes import Process
from peers.checkpoint import guard
from tests.certificates import Authority
from tests.ct_factory import ct_series, encode, write_files
from tests.integration.door import send_bytes
from tests.servers import storescu, wait_for, wait_until_listening

pytestmark = pytest.mark.servers
Settings = dict[str, object]
Start = Callable[[Settings], Process]


def receivers(process: Process) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return sorted(int(pid) for task in tasks for pid in task.read_text().split())


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def gone(pids: Sequence[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def store(assoc: Association, ds: Dataset) -> int:
    answer = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
    return int(answer.Status)


@pytest.fixture
def associate(child_settings: Settings) -> Iterator[Callable[[], Association]]:
    """Open an association; it is released at the end."""
    with ExitStack() as stack:

        def start() -> Association:
            ae = AE("CT_01")
            ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
            port = int(str(child_settings["PORT"]))
            assoc = ae.associate("127.0.0.1", port, ae_title="OSTEOSCREEN")
            if assoc.is_established:
                guard(assoc)
                stack.callback(assoc.release)
            return assoc

        yield start


def test_associations_are_shared_out_evenly(
    child_settings: Settings, start_storescp: Start, associate: Callable[[], Association]
) -> None:
    pids = receivers(start_storescp(child_settings | {"RECEIVERS": 3}))
    assert len(pids) == 3
    before = [threads(pid) for pid in pids]

    assert all(associate().is_established for _ in range(6))

    grown = [threads(pid) - count for pid, count in zip(pids, before, strict=True)]
    assert grown[0] > 0
    assert len(set(grown)) == 1, grown


def test_the_limit_is_that_of_all_receivers(
    child_settings: Settings, start_storescp: Start, associate: Callable[[], Association]
) -> None:
    start_storescp(child_settings | {"RECEIVERS": 3, "MAX_ASSOCIATIONS": 2})

    opened = [associate() for _ in range(3)]

    assert [one.is_established for one in opened] == [True, True, False]
    opened[0].release()
    wait_for(lambda: associate().is_established, "a free place")


def test_metrics_are_those_of_all_receivers(
    child_settings: Settings, start_storescp: Start, tmp_path: Path
) -> None:
    port = free_port()
    start_storescp(child_settings | {"RECEIVERS": 3, "METRICS_PORT": port})
    for number in range(5):
        paths = write_files(ct_series(4), tmp_path / str(number))
        assert storescu(paths, int(str(child_settings["PORT"])), options=["-R"]).returncode == 0

    def metrics() -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    found = metrics()
    assert found['osteoscreen_instances_total{status="0x0000"}'] == 20
    assert found['osteoscreen_associations_total{outcome="accepted"}'] == 5
    assert found["osteoscreen_store_seconds_count"] == 20
    assert found['osteoscreen_store_seconds_bucket{le="+Inf"}'] == 20
    assert found["osteoscreen_pending_series"] <= 5
    wait_for(lambda: metrics()["osteoscreen_open_associations"] == 0, "the last release")


def test_the_end_of_a_receiver_ends_the_service_with_an_error(
    child_settings: Settings, start_storescp: Start, associate: Callable[[], Association]
) -> None:
    process = start_storescp(child_settings)
    pids = receivers(process)

    os.kill(pids[1], signal.SIGKILL)

    assert process.wait(20) == 1
    assert "receiver_ended" in process.log
    assert gone(pids)
    process.start()
    wait_until_listening(process, int(str(child_settings["PORT"])))
    assert associate().is_established


def test_receivers_do_not_outlive_the_main_process(
    child_settings: Settings, start_storescp: Start, associate: Callable[[], Association]
) -> None:
    process = start_storescp(child_settings)
    pids = receivers(process)
    associate()

    os.kill(process.pid, signal.SIGKILL)

    process.wait(5)
    wait_for(lambda: gone(pids), "the end of the receivers", seconds=5)
    process.start()
    wait_until_listening(process, int(str(child_settings["PORT"])))
    assert associate().is_established


def test_a_receiver_that_hangs_does_not_keep_the_service_from_its_end(
    child_settings: Settings, start_storescp: Start
) -> None:
    process = start_storescp(child_settings)
    pids = receivers(process)
    os.kill(pids[0], signal.SIGSTOP)
    start = time.monotonic()

    os.kill(process.pid, signal.SIGTERM)

    assert process.wait(20) == 0
    assert time.monotonic() - start < 10
    assert "receiver_killed" in process.log
    assert gone(pids)


@pytest.mark.parametrize(
    ("which", "event"), [("main process", "accept_failed"), ("receiver", "connection_lost")]
)
def test_too_many_open_files_pass(
    which: str,
    event: str,
    child_settings: Settings,
    start_storescp: Start,
    associate: Callable[[], Association],
) -> None:
    process = start_storescp(child_settings | {"RECEIVERS": 1})
    pid = process.pid if which == "main process" else receivers(process)[0]
    limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    port = int(str(child_settings["PORT"]))

    def complained() -> bool:
        """No number is free below the limit; what is closed meanwhile makes room again."""
        used = {int(number) for number in os.listdir(f"/proc/{pid}/fd")}
        free = next(number for number in itertools.count() if number not in used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, limit[1]))
        stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        return event in process.log

    try:
        with ExitStack() as stack:
            wait_for(complained, "the complaint")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)

    wait_for(lambda: associate().is_established, "an association, once there is room")
    assert process.running


def test_connections_that_do_not_shake_hands_keep_no_other_address_out(
    child_settings: Settings, start_storescp: Start, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    ours = authority.issue("osteoscreen")
    process = start_storescp(
        child_settings
        | {
            "RECEIVERS": 1,
            "MAX_ASSOCIATIONS": 8,
            "MAX_ASSOCIATIONS_PER_PEER": 4,
            "TLS_CERT": ours.cert,
            "TLS_KEY": ours.key,
        }
    )
    port = int(str(child_settings["PORT"]))

    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        wait_for(lambda: "too_many_connections_of_peer" in process.log, "the refusal")
        context = ssl.create_default_context(cafile=authority.ca)
        source = ("127.0.0.2", 0)
        other = socket.create_connection(("127.0.0.1", port), 10, source_address=source)
        with other, context.wrap_socket(other, server_hostname="localhost") as shaken:
            assert shaken.version() == "TLSv1.3"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_lets_what_is_sent_come_to_its_end(
    number: signal.Signals,
    child_settings: Settings,
    start_storescp: Start,
    associate: Callable[[], Association],
) -> None:
    process = start_storescp(child_settings)
    pids = receivers(process)
    assoc = associate()
    first, second = ct_series(2)
    assert store(assoc, first) == 0

    os.killpg(process.pid, number)
    wait_for(lambda: "storescp_stopping" in process.log, "the stop")

    assert store(assoc, second) == 0
    assoc.release()
    assert process.wait(20) == 0
    assert gone(pids)
    assert "Traceback" not in process.log
