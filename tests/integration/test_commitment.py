"""Covered: Storage Commitment with pynetdicom as the sender: the report on the association of
the request, on a new association, after a retry, beside a sender that stalls; bad requests.

Not covered: senders other than pynetdicom.
"""

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import AE, Association, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from structlog.testing import capture_logs

from common.dicomnet import status
from common.dicomnet.checkpoint import patch_reactor_checkpoint
from deploy.demo.embedded import free_port
from storescp.commitment import reporter
from tests.support.ct_factory import ct_series
from tests.support.dribbling_server import ASSOCIATE_AC, dribbling_server
from tests.support.servers import wait_for
from tests.support.storage_scp import OpenStorageScp, StorageScpFixture

pytestmark = pytest.mark.servers
REPORT_SECONDS = 20
# pynetdicom does not close the socket of a refused connection.
REFUSED = "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"


class Reports:
    """Takes reports on any association of the sender."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[int, Dataset]] = queue.Queue()
        self.handlers = [(evt.EVT_N_EVENT_REPORT, self._handle)]

    def _handle(self, event: evt.Event) -> tuple[int, None]:
        self.received.put((event.event_type, event.event_information))
        return status.SUCCESS, None

    def next(self) -> tuple[int, Dataset]:
        return self.received.get(timeout=REPORT_SECONDS)


@contextmanager
def sender(
    scp: StorageScpFixture, reports: Reports, ae_title: str = "CT_01"
) -> Iterator[Association]:
    ae = AE(ae_title)
    ae.add_requested_context(CTImageStorage)
    ae.add_requested_context(StorageCommitmentPushModel)
    assoc = ae.associate(
        "127.0.0.1", scp.port, ae_title="OSTEOSCREEN", evt_handlers=reports.handlers
    )
    assert assoc.is_established
    patch_reactor_checkpoint(assoc)
    yield assoc
    if assoc.is_established:
        assoc.release()


@contextmanager
def listener(port: int, reports: Reports) -> Iterator[None]:
    """Run the SCP with which the sender takes reports."""
    ae = AE("CT_01")
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=reports.handlers)
    yield
    server.shutdown()


def ask(
    assoc: Association, instances: Sequence[Dataset], *, action: int = 1, transaction: str = ""
) -> int:
    """Send an N-ACTION for these instances and return its status."""
    ds = Dataset()
    ds.TransactionUID = transaction or generate_uid()
    ds.ReferencedSOPSequence = []
    for one in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = one.SOPClassUID
        item.ReferencedSOPInstanceUID = one.SOPInstanceUID
        ds.ReferencedSOPSequence.append(item)
    answer, _ = assoc.send_n_action(
        ds, action, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    return int(answer.Status)


def store(assoc: Association, instances: Sequence[Dataset]) -> None:
    for ds in instances:
        ds.file_meta = Dataset()
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        assert assoc.send_c_store(ds).Status == status.SUCCESS


def uids(sequence: Sequence[Dataset]) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in sequence]


def test_the_report_comes_on_the_association_of_the_request(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp, reports = open_storage_scp(), Reports()
    instances = ct_series(4)

    def wait_until_answered(count: int) -> None:
        """Wait for the report: a release would cross with it."""
        done = "commitment_reported"
        wait_for(lambda: [line["event"] for line in lines].count(done) == count, done)

    with capture_logs() as lines:
        with sender(scp, reports) as assoc:
            store(assoc, instances[:3])
            assert ask(assoc, instances[:3], transaction="1.2.3") == status.SUCCESS
            whole = reports.next()
            wait_until_answered(1)
        # A new association: pynetdicom's requestor may hang when it sends right after a report.
        with sender(scp, reports) as assoc:
            assert ask(assoc, instances) == status.SUCCESS
            part = reports.next()
            wait_until_answered(2)

    assert whole[0] == 1
    assert whole[1].TransactionUID == "1.2.3"
    assert uids(whole[1].ReferencedSOPSequence) == [ds.SOPInstanceUID for ds in instances[:3]]
    assert part[0] == 2
    assert uids(part[1].FailedSOPSequence) == [instances[3].SOPInstanceUID]
    assert part[1].FailedSOPSequence[0].FailureReason == 0x0112


def test_a_sender_that_has_released_gets_a_new_association(
    open_storage_scp: OpenStorageScp,
) -> None:
    port, reports = free_port(), Reports()
    scp = open_storage_scp(commitment_peers=f"CT_01=127.0.0.1:{port}")
    instances = ct_series(2)

    with listener(port, reports):
        with sender(scp, reports) as assoc:
            store(assoc, instances)
            assert ask(assoc, instances) == status.SUCCESS
        kind, information = reports.next()

    assert kind == 1
    assert len(information.ReferencedSOPSequence) == 2


@pytest.mark.filterwarnings(REFUSED)
def test_an_unavailable_sender_is_tried_again(
    open_storage_scp: OpenStorageScp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "RETRY_SECONDS", (0.5,) * 20)
    port, reports = free_port(), Reports()
    scp = open_storage_scp(commitment_peers=f"CT_01=127.0.0.1:{port}")
    instances = ct_series(1)
    with sender(scp, reports) as assoc:
        store(assoc, instances)
        assert ask(assoc, instances) == status.SUCCESS
    with pytest.raises(queue.Empty):
        reports.received.get(timeout=1.5)

    with listener(port, reports):
        assert reports.next()[0] == 1


def test_a_sender_that_stalls_does_not_keep_the_reports_of_others(
    open_storage_scp: OpenStorageScp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "REPORT_SECONDS", 4.0)
    port, reports = free_port(), Reports()

    def deadline_passed() -> bool:
        return "no answer within 4 s" in [line.get("error") for line in lines]

    with capture_logs() as lines, dribbling_server(ASSOCIATE_AC) as stalling:
        scp = open_storage_scp(
            commitment_peers=f"CT_01=127.0.0.1:{stalling},CT_02=127.0.0.1:{port}"
        )
        (instance,) = ct_series(1)
        with sender(scp, reports) as assoc:
            store(assoc, [instance])
            assert ask(assoc, [instance]) == status.SUCCESS
        with listener(port, reports):
            with sender(scp, reports, "CT_02") as assoc:
                assert ask(assoc, [instance]) == status.SUCCESS
            assert reports.next()[0] == 1
        assert not deadline_passed()
        wait_for(deadline_passed, "the deadline")


def test_bad_requests_are_refused_and_the_association_continues(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp, reports = open_storage_scp(), Reports()
    instances = ct_series(1)

    with sender(scp, reports) as assoc:
        assert ask(assoc, instances, action=2) == status.NO_SUCH_ACTION
        assert ask(assoc, []) == status.INVALID_ARGUMENT_VALUE
        store(assoc, instances)
        assert ask(assoc, instances) == status.SUCCESS
        assert reports.next()[0] == 1
