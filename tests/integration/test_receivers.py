"""Covered: the receiver processes of ``python -m storescp``: distribution of connections,
limits and metrics of all together, the end of one or of the main process.

Not covered: SIGKILL of all at once (tests/faults); one server (test_storage_server.py).
"""

import itertools
import os
import resource
import shutil
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

from common.dicomnet.checkpoint import patch_reactor_checkpoint
from deploy.demo.embedded import free_port
from deploy.demo.processes import Process
from tests.support.certificates import Authority
from tests.support.ct_factory import ct_series, encode, write_files
from tests.support.servers import storescu, wait_for, wait_until_listening
from tests.support.storage_scp import send_bytes

pytestmark = pytest.mark.servers
Settings = dict[str, object]
Start = Callable[[Settings], Process]


def receivers(process: Process) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return sorted(int(pid) for task in tasks for pid in task.read_text().split())


def connections(pid: int, port: int) -> int:
    """Return the number of established connections to ``port`` that a process has open."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"}
    links = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    return len(inodes & {link.removeprefix("socket:[").removesuffix("]") for link in links})


def gone(pids: Sequence[int]) -> bool:
    return not any(map(runs, pids))


def runs(pid: int) -> bool:
    """Whether a process has not ended; in a container its entry may stay as a zombie's."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def store(assoc: Association, ds: Dataset) -> int:
    answer = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
    return int(answer.Status)


@pytest.fixture
def associate(child_settings: Settings) -> Iterator[Callable[[], Association]]:
    """Return a function that opens an association, to be released at the end."""
    with ExitStack() as stack:

        def start() -> Association:
            ae = AE("CT_01")
            ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
            port = int(str(child_settings["PORT"]))
            assoc = ae.associate("127.0.0.1", port, ae_title="OSTEOSCREEN")
            if assoc.is_established:
                patch_reactor_checkpoint(assoc)
                stack.callback(assoc.release)
            return assoc

        yield start


def test_associations_are_shared_out_evenly(
    child_settings: Settings, start_storescp: Start, associate: Callable[[], Association]
) -> None:
    pids = receivers(start_storescp(child_settings | {"RECEIVERS": 3}))
    port = int(str(child_settings["PORT"]))

    assert all(associate().is_established for _ in range(6))

    assert [connections(pid, port) for pid in pids] == [2, 2, 2]


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
    assert found["osteoscreen_refused_instances_total"] == 0
    # Not the sum over the processes.
    assert 0 < found["osteoscreen_spool_free_bytes"] < 2 * shutil.disk_usage(tmp_path).free
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

    process.wait(30)
    wait_for(lambda: gone(pids), "the end of the receivers", seconds=30)
    process.start()
    wait_until_listening(process, int(str(child_settings["PORT"])))
    assert associate().is_established


def test_a_receiver_that_hangs_does_not_block_the_stop(
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

    def logged() -> bool:
        """Leave no free descriptor below the limit, and connect."""
        used = {int(number) for number in os.listdir(f"/proc/{pid}/fd")}
        free = next(number for number in itertools.count() if number not in used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, limit[1]))
        stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        return event in process.log

    try:
        with ExitStack() as stack:
            wait_for(logged, event)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)

    wait_for(lambda: associate().is_established, "an association")
    assert process.running


def test_connections_without_a_tls_handshake_do_not_block_other_addresses(
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
def test_a_signal_to_all_processes_lets_open_associations_finish(
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
