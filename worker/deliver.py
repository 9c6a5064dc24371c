"""The objects of one screening to one destination, by whichever way it takes them."""

from collections.abc import Sequence
from pathlib import Path

from worker import dicomweb, dimse
from worker.outcomes import Outcome
from worker.settings import Destination, DimseDestination, WorkerSettings


def deliver(
    paths: Sequence[Path],
    destination: Destination,
    settings: WorkerSettings,
    *,
    transaction_uid: str,
) -> dict[str, Outcome]:
    """Send all files in one association or one request; the outcome of each SOP Instance UID.

    ``transaction_uid`` : names the request for Storage Commitment, where that is offered.
    Never raises for what a destination does; OSError where a file cannot be read.
    """
    if isinstance(destination, DimseDestination):
        return dimse.send_c_store(
            paths,
            destination,
            ae_title=settings.ae_title,
            tls=settings.tls,
            transaction_uid=transaction_uid,
        )
    return dicomweb.store_stow_rs(paths, destination, tls=settings.tls)
