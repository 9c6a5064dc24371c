"""Covered: a PACS that never finishes: deliveries and ``doctor`` end at their deadline, and a
worker ends after SIGTERM.

Not covered: hangs inside of a library (tests/unit/common/test_supervised.py).
"""

import os
import signal
import threading
from pathlib import Path

import pytest

from common.settings.worker import DimseDestination
from deploy.demo.processes import CELERY, Process
from tests.support.deliveries import make_due_delivery, with_pacs
from tests.support.odd_messages import ABORT, Message, pdu
from tests.support.odd_pacs import Conversation, Manner, OddPacs
from tests.support.servers import child_environment, wait_for
from tests.support.worker_cli import run_worker
from tests.support.worker_contexts import history
from worker.context import WorkerContext
from worker.delivery.deliver_screening import deliver_screening
from worker.diagnostics import destination as diagnosis

pytestmark = pytest.mark.servers


LARGE = 4096  # 16 MB: more than the buffers of a connection


def hang(*_: object) -> None:
    threading.Event().wait()


def half_a_pdu(conversation: Conversation, _: Message) -> None:
    conversation.send(pdu(ABORT, bytes(4))[:7])
    hang()


def accept_and_hang(conversation: Conversation) -> None:
    conversation.accept()
    hang()


HANGS = {
    "connects": Manner(connect=hang),
    "accepts": Manner(associate=hang),
    "stops to read": Manner(associate=accept_and_hang),
    "does not answer C-STORE": Manner(store=hang),
    "sends half a PDU": Manner(store=half_a_pdu),
    "does not answer C-FIND": Manner(find=hang),
    "does not answer N-ACTION": Manner(action=hang),
    "does not answer the release": Manner(release=hang),
}


@pytest.mark.parametrize("name", HANGS)
def test_a_delivery_ends_at_its_deadline_and_is_tried_again(
    context: WorkerContext, name: str
) -> None:
    screening_id = make_due_delivery(context, rows=LARGE)
    with OddPacs(HANGS[name]) as pacs:
        sender = with_pacs(context, pacs.port, delivery_limit_seconds=3)
        deliver_screening(sender, screening_id, "pacs")

    for sent in history(context).deliveries:
        assert sent.delivery.state.value == "due"
        assert sent.delivery.last_status == "deadline"
        assert "3 s" in str(sent.delivery.error)
        assert sent.delivery.lease_until is None


def test_show_names_the_deadline(
    context: WorkerContext, child_settings: dict[str, object], tmp_path: Path
) -> None:
    screening_id = make_due_delivery(context)
    with OddPacs(HANGS["accepts"]) as pacs:
        sender = with_pacs(context, pacs.port, delivery_limit_seconds=1)
        deliver_screening(sender, screening_id, "pacs")
    uid = history(context).series.series_instance_uid

    shown = run_worker("show", uid, cwd=tmp_path, settings=child_settings).stdout

    assert "did not finish within 1 s" in " ".join(shown.split())


def test_doctor_ends_at_its_deadline(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "PROBE_SECONDS", 2.0)
    with OddPacs(HANGS["accepts"]) as pacs:
        settings = with_pacs(context, pacs.port).settings
        (destination,) = settings.destinations
        assert isinstance(destination, DimseDestination)
        check = diagnosis.check_destination(destination, settings)

    assert not check.ok
    assert "no complete answer within 2 s" in check.detail


@pytest.mark.timeout(600)
def test_sigterm_ends_a_worker_whose_delivery_hangs(
    context: WorkerContext, child_settings: dict[str, object], tmp_path: Path
) -> None:
    make_due_delivery(context)
    with OddPacs(HANGS["stops to read"]) as pacs:
        destination = {"name": "pacs", "kind": "dimse", "ae_title": "A", "host": "127.0.0.1"}
        settings = child_settings | {
            "DESTINATIONS": [{**destination, "port": pacs.port}],
            "DELIVERY_LIMIT_SECONDS": 3600,
            "SHUTDOWN_SECONDS": 2,
        }
        worker = Process(
            CELERY,
            environment=child_environment(settings),
            log_path=tmp_path / "worker.log",
            cwd=tmp_path,
        )
        worker.start()
        wait_for(lambda: pacs.associations, "the delivery", 300)
        os.kill(worker.pid, signal.SIGTERM)

        assert worker.wait(120) == 0
    assert "shutdown_overdue" in worker.log
