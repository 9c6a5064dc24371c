"""Reports of Storage Commitment that came with the delivery of other objects."""

from collections.abc import Sequence

from common.dicomnet.commitment import Report
from common.logging import get_logger
from common.metrics import COMMITMENTS
from db.commitment import TooEarly, record_after_delivery
from worker.context import WorkerContext

log = get_logger(__name__)


def record_late_reports(context: WorkerContext, reports: Sequence[Report]) -> None:
    """Record reports of earlier deliveries; raises DatabaseUnavailable.

    A report of objects that are being sent again does not apply to them any more: this delivery
    requests commitment by a new transaction.
    """
    for report in reports:
        try:
            reported = record_after_delivery(
                context.sessions,
                report.transaction_uid,
                report.committed,
                report.failures(),
                actor=context.name,
            )
        except TooEarly:
            log.warning("commitment_report_not_recorded", reason="the delivery is in progress")
            continue
        if reported.deliveries:
            COMMITMENTS.labels("committed").inc(len(report.committed))
            COMMITMENTS.labels("failed").inc(len(report.failed))
        log.info(
            "commitment_received",
            committed=len(report.committed),
            failed=len(report.failed),
            known=reported.deliveries,
        )
