"""What a delivery leaves on record: sent, refused, or due again later.

How destinations are told apart is in test_delivery.py; here it is what the rows say then.
"""

import threading
import time
from pathlib import Path

import pytest
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import AE, evt

from db.overview import series_history
from db.states import DeliveryState
from deploy.embedded import free_port
from tests.integration import record
from tests.integration.test_delivery import write_object
from tests.integration.workshops import register, with_settings
from tests.servers import running_dcmtk_storescp
from worker.delivery import deliver_objects
from worker.settings import DimseDestination
from worker.workshop import Workshop, utc_now

pytestmark = pytest.mark.servers


def delivery_due(workshop: Workshop, *, files: bool = True) -> int:
    """A screened series whose two objects are due (and in the spool); its screening's id."""
    series_id = register(workshop)
    held = record.lease(workshop.sessions, series_id, now=utc_now())
    record.save(workshop.sessions, held, "pacs", now=utc_now())
    for new in record.objects() if files else ():
        path = workshop.settings.spool_dir / new.path
        path.parent.mkdir(parents=True, exist_ok=True)
        written = write_object(
            path.parent, SecondaryCaptureImageStorage, "1.2.3", new.sop_instance_uid
        )
        written.rename(path)
    return held.screening_id


def deliveries(workshop: Workshop) -> list[tuple[DeliveryState, str | None, int]]:
    with workshop.sessions.begin() as session:
        history = series_history(session, "1.2.3.1")
    assert history is not None
    return [
        (sent.delivery.state, sent.delivery.last_status, sent.delivery.attempts)
        for sent in history.deliveries
    ]


def test_a_destination_that_left_the_settings_is_refused_with_the_remedy(
    workshop: Workshop,
) -> None:
    screening_id = delivery_due(workshop)

    deliver_objects(workshop, screening_id, "pacs")

    assert deliveries(workshop) == [(DeliveryState.REFUSED, "no destination", 1)] * 2


def destination(port: int) -> dict[str, object]:
    pacs = DimseDestination(
        kind="dimse", name="pacs", ae_title="A", host="127.0.0.1", port=port
    )
    return {"destinations": (pacs,)}


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")
def test_a_closed_port_is_tried_again_later_and_not_before(workshop: Workshop) -> None:
    screening_id = delivery_due(workshop)
    sender = with_settings(workshop, **destination(free_port()))

    deliver_objects(sender, screening_id, "pacs")
    deliver_objects(sender, screening_id, "pacs")  # a second nudge at once

    assert deliveries(workshop) == [(DeliveryState.DUE, "no connection", 1)] * 2


def test_a_lost_file_is_not_taken_for_a_refusal(workshop: Workshop) -> None:
    screening_id = delivery_due(workshop, files=False)

    deliver_objects(with_settings(workshop, **destination(1)), screening_id, "pacs")

    assert deliveries(workshop) == [(DeliveryState.DUE, "not sent", 1)] * 2


def test_a_refusal_is_final(workshop: Workshop, tmp_path: Path) -> None:
    screening_id = delivery_due(workshop)

    with running_dcmtk_storescp(tmp_path / "received", "--refuse") as port:
        deliver_objects(with_settings(workshop, **destination(port)), screening_id, "pacs")

    assert deliveries(workshop) == [(DeliveryState.REFUSED, "A-ASSOCIATE-RJ 1/1/1", 1)] * 2


def test_a_slow_destination_gets_each_object_once_and_its_answer_counts(
    workshop: Workshop,
) -> None:
    screening_id = delivery_due(workshop)
    received: list[str] = []

    def answer_slowly(event: evt.Event) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        time.sleep(1.2)
        return 0x0000

    ae = AE(ae_title="A")
    ae.add_supported_context(SecondaryCaptureImageStorage)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, answer_slowly)]
    )
    port = int(server.socket.getsockname()[1])
    sender = with_settings(workshop, lease_seconds=1, **destination(port))
    try:
        sending = threading.Thread(target=deliver_objects, args=(sender, screening_id, "pacs"))
        sending.start()
        time.sleep(1.8)  # the lease would be over, one of two objects is on its way
        deliver_objects(sender, screening_id, "pacs")
        sending.join()
    finally:
        server.shutdown()

    assert len(received) == 2
    assert deliveries(workshop) == [(DeliveryState.SENT, "0x0000", 1)] * 2
