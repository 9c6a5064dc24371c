"""Orthanc as a judge: what our own delivery stores comes back unchanged."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from db.tls import SYSTEM
from peers.commitment import new_transaction_uid
from tests.judge.finding import Finding
from tests.servers import Orthanc, running_orthanc
from worker import dicomweb, dimse
from worker.outcomes import Accepted, Outcome
from worker.settings import DicomwebDestination, DimseDestination

AT_ONCE = 50  # objects an association


def by_dimse(paths: Sequence[Path]) -> Iterator[Finding]:
    """C-STORE, then the data set as Orthanc has it: element by element."""
    with _orthanc() as orthanc:
        address = DimseDestination.model_validate(
            orthanc.dimse_destination() | {"commitment": False}
        )
        for some in _batches(paths):
            sent = dimse.send_c_store(
                some,
                address,
                ae_title="OSTEOSCREEN",
                tls=SYSTEM,
                transaction_uid=new_transaction_uid(),
            )
            yield from _refused(some, sent)
        for path, stored in _stored(orthanc, paths):
            # Group 2 names who wrote the file: that is the PACS.
            if stored is None or dcmread(BytesIO(stored)) != dcmread(path):
                yield Finding(path, "another data set in the PACS")


def by_stow_rs(paths: Sequence[Path]) -> Iterator[Finding]:
    """STOW-RS, then the file as Orthanc has it: byte by byte."""
    with _orthanc() as orthanc:
        address = DicomwebDestination.model_validate(orthanc.dicomweb_destination())
        for some in _batches(paths):
            yield from _refused(some, dicomweb.store_stow_rs(some, address))
        for path, stored in _stored(orthanc, paths):
            if stored != path.read_bytes():
                yield Finding(path, "another file in the PACS")


@contextmanager
def _orthanc() -> Iterator[Orthanc]:
    with tempfile.TemporaryDirectory() as folder, running_orthanc(Path(folder)) as orthanc:
        yield orthanc


def _batches(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), AT_ONCE):
        yield paths[start : start + AT_ONCE]


def _refused(paths: Sequence[Path], outcomes: Mapping[str, Outcome]) -> Iterator[Finding]:
    for path in paths:
        outcome = outcomes[str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)]
        if not (isinstance(outcome, Accepted) and outcome.confirmed_by):
            yield Finding(path, f"not stored and found again: {outcome}")


def _stored(orthanc: Orthanc, paths: Sequence[Path]) -> Iterator[tuple[Path, bytes | None]]:
    for path in paths:
        uid = str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        found = orthanc.find("Instance", SOPInstanceUID=uid)
        yield path, orthanc.file(found[0]["ID"]) if len(found) == 1 else None
