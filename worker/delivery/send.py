"""One delivery over the network: all objects of a screening for one destination.

Runs in a child process (``common.supervised``) and uses no database.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from common.dicomnet.association import ANSWER_SECONDS
from common.dicomnet.commitment import Report
from common.logging import get_logger
from common.settings.worker import Destination, DimseDestination
from common.tls import Tls
from worker.delivery import store_scu, stow_client
from worker.delivery.commitment_scu import CommitmentReports
from worker.delivery.result import Outcome
from worker.errors import describe, stack_of

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What to send, and to whom.

    ``transaction_uid`` : of the Storage Commitment request, if the destination offers it.
    ``answer_seconds`` : timeout of each response. ``report_seconds`` : of the report.
    """

    paths: tuple[Path, ...]
    destination: Destination
    ae_title: str
    tls: Tls
    transaction_uid: str
    answer_seconds: float = ANSWER_SECONDS
    report_seconds: float = store_scu.REPORT_SECONDS


class Sent(NamedTuple):
    """Outcomes by SOP Instance UID, and reports of Storage Commitment of earlier deliveries."""

    outcomes: dict[str, Outcome]
    reports: tuple[Report, ...] = ()


class NotSent(Exception):
    """A file is missing or damaged, or a library failed; the text has no values of the file."""


def send(job: Job) -> Sent:
    """Send all files in one association or one request; raises NotSent."""
    try:
        if isinstance(job.destination, DimseDestination):
            return _send_c_store(job, job.destination)
        return Sent(stow_client.store_stow_rs(job.paths, job.destination, tls=job.tls))
    except Exception as error:
        log.error("delivery_failed", error=describe(error), stack=stack_of(error))
        raise NotSent(describe(error)) from None


def _send_c_store(job: Job, destination: DimseDestination) -> Sent:
    reports = CommitmentReports(job.transaction_uid)
    outcomes = store_scu.send_c_store(
        job.paths,
        destination,
        ae_title=job.ae_title,
        tls=job.tls,
        reports=reports,
        timeouts=store_scu.Timeouts(job.answer_seconds, job.report_seconds),
    )
    return Sent(outcomes, reports.of_earlier_deliveries())
