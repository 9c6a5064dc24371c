"""Rows of the exported CSV files: results without identifiers, and labels for training."""

import csv
import hashlib
import hmac
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from db.dxa import Pair
from db.models import Feedback, HipResult
from db.worklist import Listed
from worker.review.result_view import probabilities

FeedbackBySide = Mapping[str, Sequence[Feedback]]

MAX_AGE_YEARS = 90
"""Ages of 90 and above are one group: HIPAA's safe harbor, 45 CFR 164.514(b)(2)(i)(C), which
also keeps only the year of dates."""

HIP_COLUMNS = (
    "grade", "reason", "p_normal", "p_osteopenia", "p_osteoporosis", "neck_hu", "reader_grade",
)  # fmt: skip
LEVELS = ("L1", "L2", "L3", "L4")
RESULT_COLUMNS = (
    "received_year", "sex", "age", "manufacturer", "scanner_model", "kernel", "kvp",
    "slice_thickness_mm", "state", "reason", "grade", "model", "model_version",
    *(f"{side}_{name}" for side in ("right", "left") for name in HIP_COLUMNS),
    "withdrawn", *(f"{level.lower()}_hu" for level in LEVELS),
)  # fmt: skip
LABEL_COLUMNS = (
    "series_dir", "patient_id", "t_score", "side", "sex", "age", "height_m", "weight_kg",
    "ct_date", "dxa_date", "model_grade", "reader_grade", "reader_opinions",
)  # fmt: skip


def result_row(listed: Listed, feedback: FeedbackBySide) -> dict[str, Any]:
    """Return one series without identifiers of the patient or the study, and without days."""
    series, screening = listed.series, listed.screening
    age = series.patient_age_years
    row = {
        "received_year": series.created_at.year,
        "sex": series.patient_sex,
        "age": None if age is None else min(int(age), MAX_AGE_YEARS),
        "manufacturer": series.manufacturer,
        "scanner_model": series.manufacturer_model_name,
        "kernel": series.convolution_kernel,
        "kvp": series.kvp,
        "slice_thickness_mm": series.slice_thickness_mm,
        "state": series.state.value,
        "reason": series.reason_code,
        "grade": screening.grade if screening else None,
        "model": screening.model_name if screening else None,
        "model_version": screening.model_version if screening else None,
        "withdrawn": screening.withdrawal_reason if screening else None,
        **{f"{level.lower()}_hu": listed.lumbar_hu.get(level) for level in LEVELS},
    }
    for hip in listed.hips:
        prefix = "right" if hip.side == "R" else "left"
        values = {
            "grade": hip.grade,
            "reason": hip.reason_code,
            **{f"p_{name}": value for name, value in probabilities(hip).items()},
            "neck_hu": hip.neck_hu,
            "reader_grade": reader_grade(hip, feedback.get(hip.side, ())),
        }
        row |= {f"{prefix}_{name}": value for name, value in values.items()}
    return row


def label_rows(
    listed: Listed,
    feedback: FeedbackBySide,
    pairs: Sequence[Pair],
    *,
    spool_dir: Path,
    key: bytes,
) -> Iterator[dict[str, Any]]:
    """Yield one row per graded hip with a DXA result or feedback, as ``prepare`` reads it.

    A withdrawn result has no rows: its grade, or its patient, may be wrong.
    ``key`` is the secret of this file's pseudonyms (see `pseudonym`).
    """
    series = listed.series
    if listed.screening is not None and listed.screening.withdrawn_at is not None:
        return
    for hip in listed.hips:
        hip_feedback = feedback.get(hip.side, ())
        dxa = _nearest(pairs, hip.side)
        if hip.grade is None or (dxa is None and not hip_feedback):
            continue
        yield {
            "series_dir": spool_dir / series.study_instance_uid / series.series_instance_uid,
            "patient_id": pseudonym(series.patient_id, series.issuer_of_patient_id, key),
            "t_score": dxa.t_score if dxa else None,
            "side": hip.side,
            "sex": series.patient_sex if series.patient_sex in {"F", "M"} else None,
            "age": series.patient_age_years,
            "height_m": series.patient_size_m,
            "weight_kg": series.patient_weight_kg,
            "ct_date": series.study_date,
            "dxa_date": dxa.dxa_date if dxa else None,
            "model_grade": hip.grade,
            "reader_grade": reader_grade(hip, hip_feedback),
            "reader_opinions": len(hip_feedback),
        }


def reader_grade(hip: HipResult, feedback: Sequence[Feedback]) -> str | None:
    """Return the grade on which all readers who named one agree, or None."""
    grades = {hip.grade if one.agrees else one.corrected_grade for one in feedback} - {None}
    return grades.pop() if len(grades) == 1 else None


def pseudonym(patient_id: str | None, issuer: str | None, key: bytes) -> str:
    """Return a pseudonym that is the same for all series of a patient within one file.

    The key is not stored, so the pseudonym cannot be traced back to the patient.
    """
    text = f"{issuer or ''}\0{patient_id or ''}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:16]


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of a CSV file, the header first."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="")
    writer.writeheader()
    for row in rows:
        yield _drain(buffer)
        writer.writerow({name: _cell(value) for name, value in row.items()})
    yield _drain(buffer)


def _drain(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _cell(value: Any) -> Any:
    """Format a value; quote text that a spreadsheet would evaluate as a formula (CWE-1236)."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _nearest(pairs: Sequence[Pair], side: str) -> Pair | None:
    """Return the DXA result nearest in time, of this hip if there is one."""
    candidates = [pair for pair in pairs if pair.dxa_side in {None, side}]

    def rank(pair: Pair) -> tuple[bool, int]:
        return pair.dxa_side is None, abs((pair.study_date - pair.dxa_date).days)

    return min(candidates, key=rank, default=None)
