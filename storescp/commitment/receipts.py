"""Reports of Storage Commitment that destinations send to us (N-EVENT-REPORT, PS3.4 J.3.3).

The worker asks for them on the association of its delivery, but a PACS may take its time and
then opens an association of its own: to our AE title, and that is the Storage SCP.
"""

import time
from datetime import UTC, datetime, timedelta

from pynetdicom import evt
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db.commitment import NotCommitted, Reported, TooEarly, record_report
from db.telemetry import COMMITMENTS, get_logger
from peers.commitment import PASSING, Report, read_report, reason_of
from storescp import status

ACTOR = "storescp"
WORKER_SECONDS = 10.0
"""A PACS may report before the worker has recorded that it has accepted the objects."""
LOOK_SECONDS = 0.25
SEND_AGAIN = timedelta(minutes=15)

log = get_logger(__name__)


class Receipts:
    """Shared by all associations; what is reported goes to the record."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions

    def take(self, event: evt.Event) -> tuple[int, None]:
        """Handle an N-EVENT-REPORT; a failure asks the PACS to report again."""
        try:
            report = read_report(event.event_information)
        except Exception as error:
            # Whatever pydicom says of bytes that are no data set; the text may repeat them.
            log.warning("commitment_report_unreadable", error=type(error).__name__)
            return status.INVALID_ARGUMENT_VALUE, None
        try:
            reported = self._record(report)
        except (SQLAlchemyError, TooEarly) as error:
            log.warning("commitment_report_not_recorded", error=type(error).__name__)
            return status.PROCESSING_FAILURE, None
        known = reported.deliveries
        COMMITMENTS.labels("committed").inc(len(report.committed) if known else 0)
        COMMITMENTS.labels("failed").inc(len(report.failed) if known else 0)
        log.info(
            "commitment_received",
            transaction_uid=report.transaction_uid[: status.MAX_COMMENT],
            correlation_id=reported.correlation_id,
            peer=event.assoc.requestor.address,
            committed=len(report.committed),
            failed=len(report.failed),
            known=known,
        )
        return (status.SUCCESS if known else status.NO_SUCH_SOP_INSTANCE), None

    def _record(self, report: Report) -> Reported:
        deadline = time.monotonic() + WORKER_SECONDS
        while True:
            try:
                return self._try(report)
            except TooEarly:
                if time.monotonic() > deadline:
                    raise
            time.sleep(LOOK_SECONDS)

    def _try(self, report: Report) -> Reported:
        now = datetime.now(UTC)
        failed = {
            uid: NotCommitted(reason_of(code), now + SEND_AGAIN if code in PASSING else None)
            for uid, code in report.failed.items()
        }
        with self._sessions.begin() as session:
            return record_report(
                session,
                report.transaction_uid,
                report.committed,
                failed,
                now=now,
                actor=ACTOR,
            )
