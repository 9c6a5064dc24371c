"""Requests for Storage Commitment (PS3.4 Annex J) and their results.

An instance is committed when it is in the spool: it is durable before its C-STORE is answered.
It stays until it is screened and ``RETENTION_DAYS`` have passed; this service is no archive.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from common.dicom.errors import NotPart10
from common.dicom.uids import is_valid_uid
from common.dicomnet import status
from common.spool.layout import INSTANCE_SUFFIX, list_series, series_folder
from common.spool.part10 import read_header

ALL_COMMITTED, SOME_FAILED = 1, 2  # PS3.4 Table J.3.3-1: Event Type IDs


class BadCommitmentRequest(ValueError):
    """Action Information that cannot be answered."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An item of Referenced SOP Sequence."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """Action Information: the instances to commit."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class CommitmentResult:
    """The committed instances, and the others with their Failure Reason."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...]

    @property
    def event_type(self) -> int:
        """Event Type ID of the N-EVENT-REPORT."""
        return SOME_FAILED if self.failed else ALL_COMMITTED

    def to_data_set(self) -> Dataset:
        """Return the Event Information (PS3.4 Table J.3.3-1)."""
        ds = Dataset()
        ds.TransactionUID = self.transaction_uid
        if self.committed:
            ds.ReferencedSOPSequence = [reference_item(one) for one in self.committed]
        if self.failed:
            ds.FailedSOPSequence = [reference_item(one, reason) for one, reason in self.failed]
        return ds


def read_request(action_information: Dataset) -> CommitmentRequest:
    """Decode Action Information (PS3.4 Table J.3.2-1); raises BadCommitmentRequest."""
    transaction_uid = str(action_information.get("TransactionUID", ""))
    items = action_information.get("ReferencedSOPSequence") or ()
    references = tuple(
        Reference(
            str(item.get("ReferencedSOPClassUID", "")),
            str(item.get("ReferencedSOPInstanceUID", "")),
        )
        for item in items
    )
    uids = [transaction_uid, *(one.sop_instance_uid for one in references)]
    uids += [one.sop_class_uid for one in references]
    if not references or not all(map(is_valid_uid, uids)):
        raise BadCommitmentRequest("Transaction UID and references with UIDs are needed")
    return CommitmentRequest(transaction_uid, references)


def commit_result(spool_dir: Path, request: CommitmentRequest) -> CommitmentResult:
    """Look up the instances in the spool, the newest series first."""
    held = _find(spool_dir, {one.sop_instance_uid for one in request.references})
    committed, failed = [], []
    for one in request.references:
        sop_class_uid = held.get(one.sop_instance_uid)
        if sop_class_uid is None:
            failed.append((one, status.NO_SUCH_SOP_INSTANCE))
        elif sop_class_uid != one.sop_class_uid:
            failed.append((one, status.CLASS_INSTANCE_CONFLICT))
        else:
            committed.append(one)
    return CommitmentResult(request.transaction_uid, tuple(committed), tuple(failed))


def _find(spool_dir: Path, sop_instance_uids: Iterable[str]) -> dict[str, str]:
    """Return SOP Class UID by SOP Instance UID of the instances in the spool."""
    wanted = {uid + INSTANCE_SUFFIX for uid in sop_instance_uids}
    found = {}
    for key, _ in sorted(list_series(spool_dir), key=lambda one: one[1], reverse=True):
        if not wanted:
            break
        folder = series_folder(spool_dir, key)
        try:
            hits = wanted.intersection(os.listdir(folder))
            for name in hits:
                uid = name.removesuffix(INSTANCE_SUFFIX)
                found[uid] = read_header(folder / name).sop_class_uid
        except (FileNotFoundError, NotPart10):
            continue  # removed by retention, or not written by this service
        wanted -= hits
    return found


def reference_item(reference: Reference, reason: int | None = None) -> Dataset:
    """Return an item of Referenced SOP Sequence or, with a reason, Failed SOP Sequence."""
    ds = Dataset()
    ds.ReferencedSOPClassUID = reference.sop_class_uid
    ds.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        ds.FailureReason = reason
    return ds
