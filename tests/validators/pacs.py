"""Orthanc as a validator: objects that our delivery stores come back unchanged."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from common.dicomnet.commitment import new_transaction_uid
from common.settings.worker import DicomwebDestination, DimseDestination
from common.tls import SYSTEM
from tests.support.servers import Orthanc, running_orthanc
from tests.validators.finding import Finding
from worker.delivery import store_scu, stow_client
from worker.delivery.commitment_scu import CommitmentReports
from worker.delivery.result import Accepted, Outcome

BATCH_SIZE = 50  # objects per association


def orthanc_c_store(paths: Sequence[Path]) -> Iterator[Finding]:
    """Send by C-STORE and compare the stored data set, element by element."""
    with _orthanc() as orthanc:
        address = DimseDestination.model_validate(
            orthanc.dimse_destination() | {"commitment": False}
        )
        for batch in _batches(paths):
            outcomes = store_scu.send_c_store(
                batch,
                address,
                ae_title="OSTEOSCREEN",
                tls=SYSTEM,
                reports=CommitmentReports(new_transaction_uid()),
            )
            yield from _not_stored(batch, outcomes)
        for path, stored in _stored(orthanc, paths):
            # Without group 2, which the PACS writes.
            if stored is None or dcmread(BytesIO(stored)) != dcmread(path):
                yield Finding(path, "the PACS has another data set")


def orthanc_stow_rs(paths: Sequence[Path]) -> Iterator[Finding]:
    """Send by STOW-RS and compare the stored file, byte by byte."""
    with _orthanc() as orthanc:
        address = DicomwebDestination.model_validate(orthanc.dicomweb_destination())
        for batch in _batches(paths):
            yield from _not_stored(batch, stow_client.store_stow_rs(batch, address))
        for path, stored in _stored(orthanc, paths):
            if stored != path.read_bytes():
                yield Finding(path, "the PACS has another file")


@contextmanager
def _orthanc() -> Iterator[Orthanc]:
    with tempfile.TemporaryDirectory() as folder, running_orthanc(Path(folder)) as orthanc:
        yield orthanc


def _batches(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), BATCH_SIZE):
        yield paths[start : start + BATCH_SIZE]


def _not_stored(paths: Sequence[Path], outcomes: Mapping[str, Outcome]) -> Iterator[Finding]:
    for path in paths:
        outcome = outcomes[str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)]
        if not (isinstance(outcome, Accepted) and outcome.confirmed_by):
            yield Finding(path, f"not stored, or not found afterwards: {outcome}")


def _stored(orthanc: Orthanc, paths: Sequence[Path]) -> Iterator[tuple[Path, bytes | None]]:
    for path in paths:
        uid = str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        found = orthanc.find("Instance", SOPInstanceUID=uid)
        yield path, orthanc.file(found[0]["ID"]) if len(found) == 1 else None
