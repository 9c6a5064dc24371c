"""Covered: Storage Commitment for what we deliver. Orthanc reports on an association of its own
to ``python -m storescp``; PACS that report at once, refuse to keep or never report are made of
pynetdicom.

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

from db.commitment import NotCommitted, TooEarly, record_report
from db.models import Delivery, Screening, Series
from db.overview import series_history
from db.retry import retry_series
from db.states import DeliveryState, SeriesState
from deploy.processes import Process
from peers.checkpoint import guard
from tests.integration.record import after
from tests.integration.test_outbox_delivery import delivery_due
from tests.integration.workshops import with_settings
from tests.servers import running_orthanc, wait_for
from worker.delivery import deliver_objects
from worker.settings import DimseDestination
from worker.workshop import Workshop, utc_now

pytestmark = pytest.mark.servers
SERIES = "1.2.3.1"
Start = Callable[[dict[str, object]], Process]


def pacs_at(port: int) -> dict[str, object]:
    pacs = DimseDestination(
        kind="dimse", name="pacs", ae_title="A", host="127.0.0.1", port=port
    )
    return {"destinations": (pacs,)}


def deliveries(workshop: Workshop) -> list[tuple[str, str | None, str | None]]:
    with workshop.sessions.begin() as session:
        history = series_history(session, SERIES)
    assert history is not None
    return [
        (one.delivery.state.value, one.delivery.confirmed_by, one.delivery.last_status)
        for one in history.deliveries
    ]


def series_state(workshop: Workshop) -> SeriesState:
    with workshop.sessions.begin() as session:
        return session.scalars(
            select(Series.state).where(Series.series_instance_uid == SERIES)
        ).one()


def events(workshop: Workshop) -> list[tuple[str, str]]:
    with workshop.sessions.begin() as session:
        history = series_history(session, SERIES)
    assert history is not None
    return [(event.what, event.actor) for event in history.events]


def test_orthanc_reports_to_the_storage_scp_and_the_delivery_is_confirmed_by_it(
    workshop: Workshop,
    child_settings: dict[str, object],
    start_storescp: Start,
    tmp_path: Path,
) -> None:
    scp = start_storescp(child_settings)
    us = ["OSTEOSCREEN", "127.0.0.1", child_settings["PORT"]]
    screening_id = delivery_due(workshop)
    with workshop.sessions.begin() as session:
        session.get_one(Screening, screening_id).correlation_id = "c0ffee"

    with running_orthanc(tmp_path / "pacs", DicomModalities={"us": us}) as orthanc:
        deliver_objects(
            with_settings(workshop, **pacs_at(orthanc.dicom_port)), screening_id, "pacs"
        )
        at_once = deliveries(workshop)
        wait_for(
            lambda: deliveries(workshop) == [("confirmed", "commitment", "0x0000")] * 2,
            "the report of Orthanc",
        )

    assert {state for state, _, _ in at_once} == {"confirmed"}
    assert series_state(workshop) is SeriesState.DELIVERED
    assert ("confirmed", "storescp") in events(workshop)
    (line,) = (line for line in scp.log.splitlines() if "commitment_received" in line)
    assert "correlation_id=c0ffee" in line


class Pacs:
    """Takes objects; says of an N-ACTION what ``judge`` says, on the same association."""

    def __init__(self, judge: Callable[[list[str]], Mapping[str, int] | None]) -> None:
        self.judge = judge
        self.requests: list[Dataset] = []
        self._assoc: Association | None = None

    def handle_action(self, event: evt.Event) -> tuple[int, None]:
        self.requests.append(event.action_information)
        threading.Timer(0.3, self._report, (event.assoc, event.action_information)).start()
        return 0x0000, None

    def _report(self, assoc: Association, request: Dataset) -> None:
        uids = [str(item.ReferencedSOPInstanceUID) for item in request.ReferencedSOPSequence]
        failed = self.judge(uids)
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


def test_a_report_on_the_association_of_delivery_confirms(workshop: Workshop) -> None:
    pacs = Pacs(lambda uids: {})
    screening_id = delivery_due(workshop)

    with running(pacs) as port:
        deliver_objects(with_settings(workshop, **pacs_at(port)), screening_id, "pacs")

    assert deliveries(workshop) == [("confirmed", "commitment", "0x0000")] * 2
    assert len(pacs.requests) == 1
    assert len(pacs.requests[0].ReferencedSOPSequence) == 2


def test_what_is_accepted_and_not_kept_is_refused_or_sent_again(workshop: Workshop) -> None:
    pacs = Pacs(lambda uids: {uids[0]: 0x0112, uids[1]: 0x0213})
    screening_id = delivery_due(workshop)

    with running(pacs) as port:
        deliver_objects(with_settings(workshop, **pacs_at(port)), screening_id, "pacs")

    assert deliveries(workshop) == [
        ("refused", None, "not committed"), ("due", None, "not committed")
    ]  # fmt: skip
    assert series_state(workshop) is SeriesState.SCREENED


def test_a_pacs_that_never_reports_leaves_it_at_sent(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.dimse.REPORT_SECONDS", 0.5)
    screening_id = delivery_due(workshop)

    with running(Pacs(lambda uids: None)) as port:
        deliver_objects(with_settings(workshop, **pacs_at(port)), screening_id, "pacs")

    assert deliveries(workshop) == [("sent", None, "0x0000")] * 2
    assert series_state(workshop) is SeriesState.DELIVERED


def test_it_is_not_asked_for_where_settings_say_so(workshop: Workshop) -> None:
    pacs = Pacs(lambda uids: {})
    screening_id = delivery_due(workshop)

    with running(pacs) as port:
        address = DimseDestination(
            kind="dimse",
            name="pacs",
            ae_title="A",
            host="127.0.0.1",
            port=port,
            commitment=False,
        )
        deliver_objects(with_settings(workshop, destinations=(address,)), screening_id, "pacs")

    assert pacs.requests == []
    assert deliveries(workshop) == [("sent", None, "0x0000")] * 2


@pytest.fixture
def sent(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A delivered series whose PACS has not reported: transaction and SOP Instance UIDs."""
    monkeypatch.setattr("worker.dimse.REPORT_SECONDS", 0.0)
    pacs = Pacs(lambda uids: None)
    screening_id = delivery_due(workshop)
    with running(pacs) as port:
        deliver_objects(with_settings(workshop, **pacs_at(port)), screening_id, "pacs")
    (request,) = pacs.requests
    uids = [str(item.ReferencedSOPInstanceUID) for item in request.ReferencedSOPSequence]
    return str(request.TransactionUID), uids


def record(
    workshop: Workshop,
    transaction_uid: str,
    committed: list[str],
    failed: Mapping[str, NotCommitted],
) -> int:
    with workshop.sessions.begin() as session:
        return record_report(
            session, transaction_uid, committed, failed, now=utc_now(), actor="storescp"
        ).deliveries


def test_a_late_failure_takes_the_series_back_until_it_is_retried(
    workshop: Workshop, sent: tuple[str, list[str]]
) -> None:
    transaction_uid, (first, second) = sent

    known = record(workshop, transaction_uid, [first], {second: NotCommitted("lost")})
    taken_back = series_state(workshop)
    with workshop.sessions.begin() as session:
        retry_series(session, SERIES, actor="operator", now=utc_now())

    assert known == 2
    assert taken_back is SeriesState.SCREENED
    assert [state for state, _, _ in deliveries(workshop)] == ["confirmed", "due"]


def test_a_report_twice_or_of_nobody_changes_nothing(
    workshop: Workshop, sent: tuple[str, list[str]]
) -> None:
    transaction_uid, uids = sent

    assert record(workshop, "2.25.1", uids, {}) == 0
    assert deliveries(workshop) == [("sent", None, "0x0000")] * 2
    for _ in range(2):
        record(workshop, transaction_uid, uids, {})
    assert deliveries(workshop) == [("confirmed", "commitment", "0x0000")] * 2


def test_a_report_before_the_worker_has_recorded_is_too_early(
    workshop: Workshop, sent: tuple[str, list[str]]
) -> None:
    transaction_uid, uids = sent
    with workshop.sessions.begin() as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.state, delivery.lease_until = DeliveryState.DUE, after(60)

    with pytest.raises(TooEarly):
        record(workshop, transaction_uid, uids, {})


def test_the_storage_scp_takes_a_report_in_either_role(
    workshop: Workshop,
    child_settings: dict[str, object],
    start_storescp: Start,
    sent: tuple[str, list[str]],
) -> None:
    """PS3.4 J.3.3: the requestor proposes to be the SCP. A transaction may be unknown."""
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
    guard(assoc)

    answers = []
    for uid in ("2.25.99", transaction_uid):
        request.TransactionUID = uid
        status, _ = assoc.send_n_event_report(
            request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        answers.append(status.Status)
    assoc.release()

    assert answers == [0x0112, 0x0000]
    assert deliveries(workshop) == [("confirmed", "commitment", "0x0000")] * 2
