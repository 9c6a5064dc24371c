"""Record reports of Storage Commitment that destinations send (N-EVENT-REPORT, PS3.4 J.3.3).

The worker requests commitment on the association of its delivery. A PACS that reports later
opens an association of its own to the AE title of the requestor, which is the Storage SCP.
"""

from common.dicomnet import status
from common.dicomnet.commitment import Report
from common.logging import get_logger
from common.metrics import COMMITMENTS
from db.commitment import TooEarly, record_after_delivery
from db.session import DatabaseError, Sessions
from storescp.store.refusal import MAX_COMMENT

ACTOR = "storescp"

log = get_logger(__name__)


class CommitmentReportHandler:
    """Writes reports to the database; shared by all associations."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def record(self, report: Report, peer: str) -> int:
        """Record a report and return the status; a failure asks the PACS to report again."""
        try:
            reported = record_after_delivery(
                self._sessions,
                report.transaction_uid,
                report.committed,
                report.failures(),
                actor=ACTOR,
            )
        except (DatabaseError, TooEarly) as error:
            log.warning("commitment_report_not_recorded", error=type(error).__name__)
            return status.PROCESSING_FAILURE
        known = reported.deliveries
        COMMITMENTS.labels("committed").inc(len(report.committed) if known else 0)
        COMMITMENTS.labels("failed").inc(len(report.failed) if known else 0)
        log.info(
            "commitment_received",
            transaction_uid=report.transaction_uid[:MAX_COMMENT],
            correlation_id=reported.correlation_id,
            peer=peer,
            committed=len(report.committed),
            failed=len(report.failed),
            known=known,
        )
        return status.SUCCESS if known else status.NO_SUCH_SOP_INSTANCE
