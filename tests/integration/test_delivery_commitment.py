"""Covered: Storage Commitment of delivered objects.

Orthanc reports to ``python -m storescp`` on an association of its own; a pynetdicom server
reports at once, reports a failure, or never reports.

Not covered: TLS on the association of the report.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import AE, Association, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from sqlalchemy import select

from common.dicomnet.checkpoint import patch_reactor_checkpoint
from db.commitment import NotCommitted, TooEarly, record_report
from db.models import Delivery, Screening
from db.retry import retry_series
from db.states import DeliveryState, SeriesState
from deploy.demo.processes import Process
from tests.support.deliveries import dimse_destination, make_due_delivery, with_pacs
from tests.support.record import after
from tests.support.servers import running_orthanc, wait_for
from tests.support.worker_contexts import history, with_settings
from worker.context import WorkerContext, utc_now
from worker.delivery.deliver_screening import deliver_screening

pytestmark = pytest.mark.servers
SERIES = "1.2.3.1"
Start = Callable[[dict[str, object]], Process]


def confirmations(context: WorkerContext) -> list[tuple[str, str | None, str | None]]:
    """Return state, kind of confirmation and last status of each delivery."""
    return [
        (one.delivery.state.value, one.delivery.confirmed_by, one.delivery.last_status)
        for one in history(context).deliveries
    ]


def series_state(context: WorkerContext) -> SeriesState:
    return history(context).series.state


def events(context: WorkerContext) -> list[tuple[str, str]]:
    return [(event.what, event.actor) for event in history(context).events]


def test_orthanc_reports_to_the_storage_scp_and_the_delivery_is_confirmed_by_it(
    context: WorkerContext,
    child_settings: dict[str, object],
    start_storescp: Start,
    tmp_path: Path,
) -> None:
    scp = start_storescp(child_settings)
    us = ["OSTEOSCREEN", "127.0.0.1", child_settings["PORT"]]
    screening_id = make_due_delivery(context)
    with context.sessions.begin() as session:
        session.get_one(Screening, screening_id).correlation_id = "c0ffee"

    with running_orthanc(tmp_path / "pacs", DicomModalities={"us": us}) as orthanc:
        deliver_screening(with_pacs(context, orthanc.dicom_port), screening_id, "pacs")
        at_once = confirmations(context)
        wait_for(
            lambda: confirmations(context) == [("confirmed", "commitment", "0x0000")] * 2,
            "the report of Orthanc",
        )

    assert {state for state, _, _ in at_once} == {"confirmed"}
    assert series_state(context) is SeriesState.DELIVERED
    assert ("confirmed", "storescp") in events(context)
    (line,) = (line for line in scp.log.splitlines() if "commitment_received" in line)
    assert "correlation_id=c0ffee" in line


class Pacs:
    """Stores objects and answers N-ACTION by a report on the same association.

    ``failures`` : from the requested SOP Instance UIDs to the Failure Reason of each that is
    not committed; None for no report.
    """

    def __init__(self, failures: Callable[[list[str]], Mapping[str, int] | None]) -> None:
        self.failures = failures
        self.requests: list[Dataset] = []

    def handle_action(self, event: evt.Event) -> tuple[int, None]:
        self.requests.append(event.action_information)
        threading.Timer(0.3, self._report, (event.assoc, event.action_information)).start()
        return 0x0000, None

    def _report(self, assoc: Association, request: Dataset) -> None:
        uids = [str(item.ReferencedSOPInstanceUID) for item in request.ReferencedSOPSequence]
        failed = self.failures(uids)
        if failed is not None and assoc.is_established:
            assoc.send_n_event_report(
                report_of(request, failed),
                2 if failed else 1,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )


def report_of(request: Dataset, failed: Mapping[str, int]) -> Dataset:
    report = Dataset()
    report.TransactionUID = request.TransactionUID
    report.ReferencedSOPSequence, report.FailedSOPSequence = [], []
    for item in request.ReferencedSOPSequence:
        reason = failed.get(item.ReferencedSOPInstanceUID)
        if reason is None:
            report.ReferencedSOPSequence.append(item)
        else:
            item.FailureReason = reason
            report.FailedSOPSequence.append(item)
    return report


@contextmanager
def running(pacs: Pacs) -> Iterator[int]:
    ae = AE(ae_title="A")
    ae.add_supported_context(SecondaryCaptureImageStorage)
    ae.add_supported_context(StorageCommitmentPushModel)
    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        evt_handlers=[
            (evt.EVT_C_STORE, lambda event: 0x0000),
            (evt.EVT_N_ACTION, pacs.handle_action),
        ],
    )
    yield int(server.socket.getsockname()[1])
    server.shutdown()


def test_a_report_on_the_association_of_delivery_confirms(context: WorkerContext) -> None:
    pacs = Pacs(lambda uids: {})
    screening_id = make_due_delivery(context)

    with running(pacs) as port:
        deliver_screening(with_pacs(context, port), screening_id, "pacs")

    assert confirmations(context) == [("confirmed", "commitment", "0x0000")] * 2
    assert len(pacs.requests) == 1
    assert len(pacs.requests[0].ReferencedSOPSequence) == 2


def test_an_accepted_object_that_is_not_kept_is_refused_or_sent_again(
    context: WorkerContext,
) -> None:
    pacs = Pacs(lambda uids: {uids[0]: 0x0112, uids[1]: 0x0213})
    screening_id = make_due_delivery(context)

    with running(pacs) as port:
        deliver_screening(with_pacs(context, port), screening_id, "pacs")

    assert confirmations(context) == [
        ("refused", None, "not committed"), ("due", None, "not committed")
    ]  # fmt: skip
    assert series_state(context) is SeriesState.SCREENED


def test_a_pacs_that_never_reports_leaves_it_at_sent(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.delivery.deliver_screening.REPORT_SECONDS", 0.5)
    screening_id = make_due_delivery(context)

    with running(Pacs(lambda uids: None)) as port:
        deliver_screening(with_pacs(context, port), screening_id, "pacs")

    assert confirmations(context) == [("sent", None, "0x0000")] * 2
    assert series_state(context) is SeriesState.DELIVERED


def test_commitment_is_not_requested_if_the_settings_disable_it(context: WorkerContext) -> None:
    pacs = Pacs(lambda uids: {})
    screening_id = make_due_delivery(context)

    with running(pacs) as port:
        address = dimse_destination(port).model_copy(update={"commitment": False})
        deliver_screening(with_settings(context, destinations=(address,)), screening_id, "pacs")

    assert pacs.requests == []
    assert confirmations(context) == [("sent", None, "0x0000")] * 2


@pytest.fixture
def sent(context: WorkerContext, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A delivered series whose PACS has not reported: transaction and SOP Instance UIDs."""
    monkeypatch.setattr("worker.delivery.deliver_screening.REPORT_SECONDS", 0.0)
    pacs = Pacs(lambda uids: None)
    screening_id = make_due_delivery(context)
    with running(pacs) as port:
        deliver_screening(with_pacs(context, port), screening_id, "pacs")
    (request,) = pacs.requests
    uids = [str(item.ReferencedSOPInstanceUID) for item in request.ReferencedSOPSequence]
    return str(request.TransactionUID), uids


def record(
    context: WorkerContext,
    transaction_uid: str,
    committed: list[str],
    failed: Mapping[str, NotCommitted],
) -> int:
    with context.sessions.begin() as session:
        return record_report(
            session, transaction_uid, committed, failed, now=utc_now(), actor="storescp"
        ).deliveries


def test_a_late_failure_reopens_the_series_until_it_is_retried(
    context: WorkerContext, sent: tuple[str, list[str]]
) -> None:
    transaction_uid, (first, second) = sent

    known = record(context, transaction_uid, [first], {second: NotCommitted("lost")})
    reopened = series_state(context)
    with context.sessions.begin() as session:
        retry_series(session, SERIES, actor="operator", now=utc_now())

    assert known == 2
    assert reopened is SeriesState.SCREENED
    assert [state for state, _, _ in confirmations(context)] == ["confirmed", "due"]


def test_a_repeated_or_unknown_report_changes_nothing(
    context: WorkerContext, sent: tuple[str, list[str]]
) -> None:
    transaction_uid, uids = sent

    assert record(context, "2.25.1", uids, {}) == 0
    assert confirmations(context) == [("sent", None, "0x0000")] * 2
    for _ in range(2):
        record(context, transaction_uid, uids, {})
    assert confirmations(context) == [("confirmed", "commitment", "0x0000")] * 2


def test_a_report_before_the_worker_has_recorded_is_too_early(
    context: WorkerContext, sent: tuple[str, list[str]]
) -> None:
    transaction_uid, uids = sent
    with context.sessions.begin() as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.state, delivery.lease_until = DeliveryState.DUE, after(60)

    with pytest.raises(TooEarly):
        record(context, transaction_uid, uids, {})


def test_the_storage_scp_takes_a_report_in_either_role(
    context: WorkerContext,
    child_settings: dict[str, object],
    start_storescp: Start,
    sent: tuple[str, list[str]],
) -> None:
    """The requestor proposes to be the SCP (PS3.4 J.3.3).

    One transaction is unknown, and one report has an Event Type ID that does not exist.
    """
    start_storescp(child_settings)
    transaction_uid, uids = sent
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [Dataset() for _ in uids]
    for item, uid in zip(request.ReferencedSOPSequence, uids, strict=True):
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2", uid
    ae = AE(ae_title="A")
    ae.add_requested_context(StorageCommitmentPushModel)
    assoc = ae.associate(
        "127.0.0.1",
        int(str(child_settings["PORT"])),
        ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
    )
    patch_reactor_checkpoint(assoc)

    answers = []
    for uid, event_type in (("2.25.99", 1), (transaction_uid, 3), (transaction_uid, 1)):
        request.TransactionUID = uid
        status, _ = assoc.send_n_event_report(
            request, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        answers.append(status.Status)
    assoc.release()

    assert answers == [0x0112, 0x0115, 0x0000]
    assert confirmations(context) == [("confirmed", "commitment", "0x0000")] * 2
