"""The objects of one screening to one destination, by whichever way it takes them."""

from collections.abc import Sequence
from pathlib import Path

from worker import dicomweb, dimse
from worker.outcomes import Outcome
from worker.settings import Destination, DimseDestination, WorkerSettings


def deliver(
    paths: Sequence[Path], destination: Destination, settings: WorkerSettings
) -> dict[str, Outcome]:
    """Send all files in one association or one request; the outcome of each SOP Instance UID.

    Never raises for what a destination does; OSError where a file cannot be read.
    """
    if isinstance(destination, DimseDestination):
        return dimse.send_c_store(
            paths, destination, ae_title=settings.ae_title, tls=settings.tls
        )
    return dicomweb.store_stow_rs(paths, destination, tls=settings.tls)


def check(destination: Destination, settings: WorkerSettings) -> Outcome:
    """Ask a destination, without sending anything, whether it talks with us."""
    if isinstance(destination, DimseDestination):
        return dimse.send_c_echo(destination, ae_title=settings.ae_title, tls=settings.tls)
    return dicomweb.search_qido_rs(destination, tls=settings.tls)
