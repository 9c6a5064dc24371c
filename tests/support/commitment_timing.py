"""Deliveries to a PACS that reports Storage Commitment at a given time around its answer."""

import threading
import time
from pathlib import Path

from pynetdicom.sop_class import StorageCommitmentPushModel

from common.dicomnet.commitment import new_transaction_uid
from common.settings.worker import DimseDestination
from common.tls import SYSTEM
from tests.support.odd_messages import Message
from tests.support.odd_pacs import Conversation, Manner, OddPacs
from worker.delivery import store_scu
from worker.delivery.commitment_scu import CommitmentReports
from worker.delivery.result import Outcome

STORE_AND_COMMIT = ("1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7")


def accept_without_query(conversation: Conversation) -> None:
    """Accept storage and Storage Commitment; a delivery then waits for the report."""
    taken = (*STORE_AND_COMMIT, StorageCommitmentPushModel)
    conversation.accept(results=lambda uid: 0 if uid in taken else 3)


def report_at(seconds: float) -> Manner:
    """Return a PACS that reports this long after (or, negative, before) its response."""

    def act(conversation: Conversation, request: Message) -> None:
        if seconds < 0:
            conversation.report(request.data_set)
            time.sleep(-seconds)
            conversation.respond(request, 0x0000)
        else:
            conversation.respond(request, 0x0000)
            time.sleep(seconds)
            conversation.report(request.data_set)

    return Manner(associate=accept_without_query, action=act)


def deliver(
    paths: list[Path], pacs: OddPacs, *, seconds: float
) -> tuple[dict[str, Outcome], CommitmentReports] | None:
    """Deliver in a thread; return None if it has not returned after ``seconds``."""
    destination = DimseDestination(
        kind="dimse", name="pacs", ae_title="PACS", host="127.0.0.1", port=pacs.port
    )
    reports = CommitmentReports(new_transaction_uid())
    results: list[dict[str, Outcome]] = []

    def send() -> None:
        results.append(
            store_scu.send_c_store(
                paths, destination, ae_title="OSTEOSCREEN", tls=SYSTEM, reports=reports
            )
        )

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(seconds)
    return (results[0], reports) if results else None
