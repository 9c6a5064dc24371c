"""Rejection notes of results: built from the report in the spool, written, and described.

The record decides where a note goes (``db/withdrawal.py``). What is written here before the
record names it has no effect: a repeated withdrawal writes the same file again.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.sr.coding import Code

from common.logging import get_logger
from common.spool.writer import SpoolWriter
from db.models import NOTE, ResultObject, Screening
from db.result_objects import NewObject
from db.session import Sessions
from db.states import WithdrawalReason
from db.withdrawal import Withdrawal
from db.withdrawal_lookup import ResultToWithdraw, folder_of
from worker.context import utc_now
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.report.rejection_note import REJECTED, WRONG_PATIENT, build_rejection_note
from worker.pipeline.validation.identity import Identity, identity_of, is_same_patient
from worker.withdrawn_json import withdrawn_json

WHY: dict[WithdrawalReason, tuple[Code, str]] = {
    WithdrawalReason.REPLACED: (
        REJECTED, "Withdrawn by osteoscreen: the images were completed or changed after it."
    ),
    WithdrawalReason.WRONG_PATIENT: (
        WRONG_PATIENT, "Withdrawn by osteoscreen: the patient of the images was corrected."
    ),
    WithdrawalReason.OPERATOR: (REJECTED, "Withdrawn by an operator of osteoscreen."),
    WithdrawalReason.MODEL: (
        REJECTED, "Withdrawn by an operator of osteoscreen: the model version was recalled."
    ),
}  # fmt: skip
log = get_logger(__name__)
JSON_FILES = ("result.json", "study.json")


def read_report(spool_dir: Path, path: str) -> Dataset:
    """Return the SR of a result, ``path`` relative to the spool."""
    report: Dataset = dcmread(spool_dir / path)
    return report


def identity_of_report(spool_dir: Path, path: str) -> Identity:
    """Return the identity of the patient whom the SR of a result names."""
    return identity_of([dcmread(spool_dir / path, stop_before_pixels=True)])


def names_same_patient(spool_dir: Path, report: str, identity: Identity) -> bool:
    """Return whether the SR of a result can be read and names the patient of ``identity``."""
    try:
        own = identity_of_report(spool_dir, report)
    except (OSError, InvalidDicomError):
        log.warning("earlier_report_unreadable", report=report)
        return False
    return is_same_patient(own, identity)


def withdrawals_by_run(
    spool: SpoolWriter,
    spool_dir: Path,
    standing: Iterable[ResultToWithdraw],
    identity: Identity,
    *,
    kept: Collection[str] = (),
) -> list[Withdrawal]:
    """Write the notes of the results that a new run supersedes.

    ``identity`` : of the images of the run. ``kept`` : SOP Instance UIDs of the new result.
    """
    withdrawals = []
    for one in standing:
        try:
            same = is_same_patient(identity_of_report(spool_dir, one.report.path), identity)
            reason = WithdrawalReason.REPLACED if same else WithdrawalReason.WRONG_PATIENT
            withdrawals.append(prepare(spool, spool_dir, one, reason, kept=kept))
        except (FileNotFoundError, InvalidDicomError) as error:
            # Its report is lost: no note can name the patient of the old objects.
            log.error(
                "rejection_note_not_written",
                screening_id=one.screening_id,
                error=type(error).__name__,
            )
    return withdrawals


def prepare(
    spool: SpoolWriter,
    spool_dir: Path,
    result: ResultToWithdraw,
    reason: WithdrawalReason,
    *,
    kept: Collection[str] = (),
) -> Withdrawal:
    """Write the rejection note of a result beside its report; raises OSError without one."""
    report = read_report(spool_dir, result.report.path)
    objects = [
        _instance(report, one) for one in result.objects if one.sop_instance_uid not in kept
    ]
    title, why = WHY[reason]
    note = build_rejection_note(report, objects, title, why, at=utc_now().astimezone())
    path = Path(result.report.path).parent / f"ko-{note.SOPInstanceUID}.dcm"
    spool.write(spool_dir / path, [to_bytes(note)])
    new = NewObject(
        role=NOTE,
        sop_class_uid=str(note.SOPClassUID),
        sop_instance_uid=str(note.SOPInstanceUID),
        series_instance_uid=str(note.SeriesInstanceUID),
        path=str(path),
    )
    return Withdrawal(result.screening_id, reason, new)


def mark_result(
    sessions: Sessions, spool: SpoolWriter, spool_dir: Path, screening_id: int
) -> None:
    """Say in ``result.json`` and ``study.json`` that a result is withdrawn, if it is."""
    with sessions.begin() as session:
        withdrawn = withdrawn_json(session.get_one(Screening, screening_id))
        folder = folder_of(session, screening_id)
    if withdrawn is not None and folder is not None:
        _mark_files(spool, spool_dir / folder, withdrawn)


def _mark_files(spool: SpoolWriter, folder: Path, withdrawn: Mapping[str, Any]) -> None:
    for name in JSON_FILES:
        path = folder / name
        try:
            entries: Sequence[dict[str, Any]] = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        marked = [{**entry, "withdrawn": withdrawn} for entry in entries]
        if marked != entries:
            content = json.dumps(marked, indent=2, ensure_ascii=False) + "\n"
            spool.write(path, [content.encode()])


def _instance(report: Dataset, one: ResultObject) -> Dataset:
    instance = Dataset()
    instance.StudyInstanceUID = report.StudyInstanceUID
    instance.SeriesInstanceUID = one.series_instance_uid
    instance.SOPClassUID, instance.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    return instance
