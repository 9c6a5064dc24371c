"""Storage Commitment (PS3.4 Annex J): what was asked, what we hold, and how that is said.

An instance is committed when it lies in the spool: it was durable before its C-STORE was
answered. It stays until it is screened and ``RETENTION_DAYS`` are over; we are no archive.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from db.spool import INSTANCE_SUFFIX, is_valid_uid, list_series, series_folder
from storescp.part10 import NotPart10, read_header

REQUEST_COMMITMENT = 1  # PS3.4 Table J.3.2-1: Action Type ID
ALL_COMMITTED, SOME_FAILED = 1, 2  # PS3.4 Table J.3.3-1: Event Type IDs

# PS3.3 C.14.1.1, Failure Reason (0008,1197)
NO_SUCH_OBJECT_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119


class BadRequest(ValueError):
    """Action Information that cannot be answered."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An instance as the sender names it."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Request:
    """The sender asks us to be responsible for these instances."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What we hold, and why not the rest: (instance, Failure Reason)."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...]

    @property
    def event_type(self) -> int:
        """Event Type ID of the N-EVENT-REPORT."""
        return SOME_FAILED if self.failed else ALL_COMMITTED

    def to_data_set(self) -> Dataset:
        """Event Information (PS3.4 Table J.3.3-1)."""
        ds = Dataset()
        ds.TransactionUID = self.transaction_uid
        if self.committed:
            ds.ReferencedSOPSequence = [reference_item(one) for one in self.committed]
        if self.failed:
            ds.FailedSOPSequence = [reference_item(one, reason) for one, reason in self.failed]
        return ds


def read_request(action_information: Dataset) -> Request:
    """Action Information (PS3.4 Table J.3.2-1); raises BadRequest."""
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
        raise BadRequest("Transaction UID and references with UIDs are needed")
    return Request(transaction_uid, references)


def judge(spool_dir: Path, request: Request) -> Verdict:
    """Look for the instances in the spool, in the newest series first."""
    held = _find(spool_dir, {one.sop_instance_uid for one in request.references})
    committed, failed = [], []
    for one in request.references:
        sop_class_uid = held.get(one.sop_instance_uid)
        if sop_class_uid is None:
            failed.append((one, NO_SUCH_OBJECT_INSTANCE))
        elif sop_class_uid != one.sop_class_uid:
            failed.append((one, CLASS_INSTANCE_CONFLICT))
        else:
            committed.append(one)
    return Verdict(request.transaction_uid, tuple(committed), tuple(failed))


def _find(spool_dir: Path, sop_instance_uids: Iterable[str]) -> dict[str, str]:
    """SOP Instance UID → SOP Class UID of those that are there."""
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
            continue  # retention, or a stranger's file
        wanted -= hits
    return found


def reference_item(reference: Reference, reason: int | None = None) -> Dataset:
    """An item of Referenced SOP Sequence or, with a Failure Reason, Failed SOP Sequence."""
    ds = Dataset()
    ds.ReferencedSOPClassUID = reference.sop_class_uid
    ds.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        ds.FailureReason = reason
    return ds
