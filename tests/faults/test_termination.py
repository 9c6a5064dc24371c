"""Covered: SIGTERM ends a worker within its grace period: idle, in a screening that hangs, in a
delivery to a PACS that stops to read and to one that sends no report, while Redis or PostgreSQL
are away or do not answer.

Not covered: a screening that ends in time (test_worker.py).
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from common.dicomnet import status
from db.states import SeriesState
from deploy.demo.embedded import Server
from tests.faults.conftest import start_worker
from tests.support.commitment_timing import accept_without_query
from tests.support.odd_manners import hang
from tests.support.odd_messages import Message
from tests.support.odd_pacs import Conversation, Manner, OddPacs
from tests.support.quick_series import QuickSeries
from tests.support.servers import wait_for
from tests.support.system_under_test import TIMEOUT_SECONDS, SystemUnderTest

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(1200)]

GRACE_SECONDS = 60.0  # of the files in deploy/; the worker has 10 s less
LIMITS = {"SHUTDOWN_SECONDS": 2, "DELIVERY_LIMIT_SECONDS": 3600}

Fault = Callable[[Server], AbstractContextManager[None]]


@pytest.fixture
def system(scp_only: SystemUnderTest) -> Iterator[SystemUnderTest]:
    before = dict(scp_only.settings)
    scp_only.settings.update(LIMITS)
    yield scp_only
    scp_only.worker.kill()
    scp_only.settings = before


def end(system: SystemUnderTest) -> int | None:
    """Send SIGTERM; return the exit status, -9 if the worker did not end within its grace."""
    return system.worker.stop(GRACE_SECONDS)


def processes_of(server: Server) -> list[int]:
    """Return its process and, since PostgreSQL has one for each connection, the children."""
    assert server._process is not None
    pid = server._process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *map(int, children.split())]


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """Stop the processes of a server without ending them: it does not answer."""
    pids = processes_of(server)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def killed(server: Server) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


def test_an_idle_worker_ends(system: SystemUnderTest) -> None:
    start_worker(system)

    assert end(system) == 0


def test_a_screening_that_hangs_is_given_back(
    system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    start_worker(system, FAULT_HANG_AT="worker.pipeline.load.read_volume")
    system.send_all(quick.write(tmp_path / "series"))
    wait_for(lambda: "hangs at" in system.worker.log, "the screening", TIMEOUT_SECONDS)

    assert end(system) == 0

    (key,) = system.acknowledged.series
    series = system.history(key).series
    assert (series.state, series.attempts) == (SeriesState.QUEUED, 0)


def test_two_pacs_that_do_not_answer_do_not_delay_the_end(
    system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    """One stops to read after its acceptance, one sends no report; both threads wait."""
    reached: set[str] = set()

    def stop_to_read(conversation: Conversation) -> None:
        conversation.accept()
        reached.add("object")
        hang()

    def report_nothing(conversation: Conversation, request: Message) -> None:
        conversation.respond(request, status.SUCCESS)
        reached.add("report")
        hang()

    unread = Manner(associate=stop_to_read)
    unreported = Manner(associate=accept_without_query, action=report_nothing)
    with OddPacs(unread) as first, OddPacs(unreported) as second:
        system.settings["DESTINATIONS"] = [
            {"name": f"odd{n}", "kind": "dimse", "ae_title": "ODD", "host": "127.0.0.1",
             "port": pacs.port} for n, pacs in enumerate((first, second))
        ]  # fmt: skip
        start_worker(system)
        system.send_all(quick.write(tmp_path / "series"))
        wait_for(lambda: len(reached) == 2, "both deliveries", TIMEOUT_SECONDS)

        assert end(system) == 0


@pytest.mark.parametrize("fault", [killed, paused])
def test_a_worker_that_cannot_publish_ends(
    fault: Fault, system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    start_worker(system)
    failed = system.worker.log.count("sweep_failed")

    with fault(system.redis):
        # Due, and not announced: the sweep of the worker publishes it.
        system.send_all(quick.write(tmp_path / "series"))
        wait_for(lambda: system.worker.log.count("sweep_failed") > failed, "the sweep")
        code = end(system)

    assert code in (0, 1)  # Celery ends with 1 where it was connecting again


@pytest.mark.parametrize("fault", [killed, paused])
def test_a_worker_without_database_ends(fault: Fault, system: SystemUnderTest) -> None:
    start_worker(system)

    with fault(system.postgres):
        code = end(system)

    assert code == 0
