"""Covered: what a delivery records: sent, refused, or due again later.

The outcomes of different destinations are tested in test_delivery.py.
"""

import threading
from datetime import datetime
from pathlib import Path

import pytest
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import AE, evt

from db.pauses import paused
from db.states import DeliveryState
from deploy.demo.embedded import free_port
from tests.support.deliveries import deliveries, make_due_delivery, with_pacs
from tests.support.servers import running_dcmtk_storescp, wait_for
from tests.support.worker_contexts import history
from worker.context import WorkerContext, utc_now
from worker.delivery.deliver_screening import deliver_screening

pytestmark = pytest.mark.servers


def test_a_destination_that_was_removed_from_the_settings_is_refused(
    context: WorkerContext,
) -> None:
    screening_id = make_due_delivery(context)

    deliver_screening(context, screening_id, "pacs")

    assert deliveries(context) == [(DeliveryState.REFUSED, "no destination", 1)] * 2


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")
@pytest.mark.covers("R15")
def test_a_closed_port_is_tried_again_later_and_not_before(context: WorkerContext) -> None:
    screening_id = make_due_delivery(context)
    sender = with_pacs(context, free_port())

    deliver_screening(sender, screening_id, "pacs")
    deliver_screening(sender, screening_id, "pacs")  # a second task at once

    assert deliveries(context) == [(DeliveryState.DUE, "no connection", 1)] * 2


def test_a_missing_file_is_tried_again_later(context: WorkerContext) -> None:
    screening_id = make_due_delivery(context, files=False)

    deliver_screening(with_pacs(context, 1), screening_id, "pacs")

    assert deliveries(context) == [(DeliveryState.DUE, "not sent", 1)] * 2


@pytest.mark.covers("R15")
def test_a_rejected_association_pauses_the_destination(
    context: WorkerContext, tmp_path: Path
) -> None:
    screening_id = make_due_delivery(context)

    with running_dcmtk_storescp(tmp_path / "received", "--refuse") as port:
        deliver_screening(with_pacs(context, port), screening_id, "pacs")

    assert deliveries(context) == [(DeliveryState.DUE, "A-ASSOCIATE-RJ 1/1/1", 1)] * 2
    with context.sessions() as session:
        (pause,) = paused(session)
    assert pause.cause is not None
    assert pause.cause.startswith("A-ASSOCIATE-RJ 1/1/1")


def lease_end(context: WorkerContext) -> datetime | None:
    return history(context).deliveries[0].delivery.lease_until


def test_a_slow_destination_gets_each_object_once_and_its_answer_counts(
    context: WorkerContext,
) -> None:
    screening_id = make_due_delivery(context)
    received: list[str] = []
    second_tried = threading.Event()

    def answer_slowly(event: evt.Event) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        assert second_tried.wait(30)
        return 0x0000

    ae = AE(ae_title="A")
    ae.add_supported_context(SecondaryCaptureImageStorage)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, answer_slowly)]
    )
    port = int(server.socket.getsockname()[1])
    sender = with_pacs(context, port, lease_seconds=4)
    try:
        sending = threading.Thread(
            target=deliver_screening, args=(sender, screening_id, "pacs")
        )
        sending.start()
        # Extended past its first end, while the first object waits for its answer.
        first_end = wait_for(lambda: lease_end(context), "the claim")
        wait_for(lambda: received and utc_now() > first_end, "the first end of the claim")
        deliver_screening(sender, screening_id, "pacs")
        second_tried.set()
        sending.join()
    finally:
        second_tried.set()
        server.shutdown()

    assert len(received) == 2
    assert deliveries(context) == [(DeliveryState.SENT, "0x0000", 1)] * 2
