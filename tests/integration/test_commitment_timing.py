"""Covered: reports of Storage Commitment at any moment of an association of ours: around the
N-ACTION response, after the A-RELEASE-RQ, on the next association, more than one, unreadable.

Not covered: reports on an association of the PACS (test_delivery_commitment.py).
"""

import time
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom.presentation import PresentationContext, negotiate_as_requestor

from common.dicomnet.commitment import Report
from tests.support.commitment_timing import accept_without_query, deliver, report_at
from tests.support.deliveries import make_due_delivery, with_pacs, write_object
from tests.support.odd_messages import Message, report
from tests.support.odd_pacs import Conversation, Manner, OddPacs
from tests.support.worker_contexts import history
from worker.context import WorkerContext
from worker.delivery.deliver_screening import deliver_screening
from worker.delivery.result import Accepted, Outcome

LIMIT_SECONDS = 120.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_object(tmp_path, SecondaryCaptureImageStorage, "1.2.3")


def outcome_of(path: Path, manner: Manner) -> Outcome | None:
    """Deliver one object; return its outcome, None if the delivery does not return."""
    with OddPacs(manner) as pacs:
        delivered = deliver([path], pacs, seconds=LIMIT_SECONDS)
    return None if delivered is None else delivered[0][path.stem]


@pytest.mark.parametrize("after_ms", [*range(-20, 21, 2), -1, 1])
def test_a_report_around_the_response_is_recorded(path: Path, after_ms: int) -> None:
    for _ in range(3):
        assert outcome_of(path, report_at(after_ms / 1000)) == Accepted("0x0000", "commitment")


def test_a_report_that_overtakes_the_acceptance_is_recorded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_late(*args: Any) -> list[PresentationContext]:
        time.sleep(0.3)
        return negotiate_as_requestor(*args)

    monkeypatch.setattr("pynetdicom.acse.negotiate_as_requestor", read_late)
    earlier = report_request("2.25.1", "1.2.9")

    def associate(conversation: Conversation) -> None:
        accept_without_query(conversation)
        conversation.report(earlier)

    with OddPacs(Manner(associate=associate)) as pacs:
        delivered = deliver([path], pacs, seconds=LIMIT_SECONDS)

    assert delivered is not None
    outcomes, reports = delivered
    assert outcomes[path.stem] == Accepted("0x0000", "commitment")
    assert reports.of_earlier_deliveries() == (Report("2.25.1", frozenset({"1.2.9"}), {}),)


def report_request(transaction_uid: str, sop_instance_uid: str) -> Dataset:
    """Return Action Information of a request (PS3.4 Table J.3.2-1)."""
    item = Dataset()
    item.ReferencedSOPClassUID = SecondaryCaptureImageStorage
    item.ReferencedSOPInstanceUID = sop_instance_uid
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [item]
    return request


class Postponed:
    """A PACS that answers N-ACTION and keeps the request for a later report."""

    def __init__(self) -> None:
        self.requests: list[Dataset] = []

    def act(self, conversation: Conversation, request: Message) -> None:
        self.requests.append(request.data_set)
        conversation.respond(request, 0x0000)

    def report_all(self, conversation: Conversation) -> None:
        for request in self.requests:
            conversation.report(request)
        self.requests.clear()


def test_a_report_after_our_release_request_is_recorded(path: Path) -> None:
    later = Postponed()

    def release(conversation: Conversation) -> None:
        later.report_all(conversation)
        conversation.release()

    manner = Manner(action=later.act, release=release)

    assert outcome_of(path, manner) == Accepted("0x0000", "commitment")


def test_a_repeated_report_changes_nothing(path: Path) -> None:
    def act(conversation: Conversation, request: Message) -> None:
        conversation.report(request.data_set)
        conversation.report(request.data_set)
        conversation.respond(request, 0x0000)

    manner = Manner(associate=accept_without_query, action=act)

    assert outcome_of(path, manner) == Accepted("0x0000", "commitment")


def test_a_report_without_an_event_type_does_not_confirm(path: Path) -> None:
    def act(conversation: Conversation, request: Message) -> None:
        conversation.send(report(request.context, request.data_set, EventTypeID=None))
        conversation.respond(request, 0x0000)

    manner = Manner(associate=accept_without_query, action=act)

    assert outcome_of(path, manner) == Accepted("0x0000")


def confirmations(context: WorkerContext, number: int) -> set[tuple[str, str | None]]:
    return {
        (one.delivery.state.value, one.delivery.confirmed_by)
        for one in history(context, number).deliveries
    }


@pytest.mark.servers
def test_a_report_on_the_next_association_is_recorded(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.delivery.deliver_screening.REPORT_SECONDS", 0.0)
    later = Postponed()
    first, second = (make_due_delivery(context, number=number) for number in (1, 2))

    def associate(conversation: Conversation) -> None:
        accept_without_query(conversation)
        later.report_all(conversation)

    with OddPacs(Manner(associate=associate, action=later.act)) as pacs:
        sender = with_pacs(context, pacs.port)
        deliver_screening(sender, first, "pacs")
        before = confirmations(context, 1)
        deliver_screening(sender, second, "pacs")

    assert before == {("sent", None)}
    assert confirmations(context, 1) == {("confirmed", "commitment")}
    assert confirmations(context, 2) == {("sent", None)}
