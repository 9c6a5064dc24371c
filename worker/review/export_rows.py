"""What leaves the page as CSV: results without identifiers, and labels for training."""

import csv
import hashlib
import hmac
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from db.dxa import Pair
from db.models import Hip
from db.review_models import Feedback
from db.worklist import Listed
from worker.review.results import probabilities_of

Said = Mapping[str, Sequence[Feedback]]

OLDEST_TOLD = 90
"""Ages above 89 are one group: HIPAA's safe harbor, 45 CFR 164.514(b)(2)(i)(C), which also
leaves of dates only the year."""

HIP_COLUMNS = (
    "grade", "reason", "p_normal", "p_osteopenia", "p_osteoporosis", "neck_hu", "reader_grade",
)  # fmt: skip
RESULT_COLUMNS = (
    "received_year", "sex", "age", "manufacturer", "scanner_model", "kernel", "kvp",
    "slice_thickness_mm", "state", "reason", "grade", "model", "model_version",
    *(f"{side}_{name}" for side in ("right", "left") for name in HIP_COLUMNS),
)  # fmt: skip
LABEL_COLUMNS = (
    "series_dir", "patient_id", "t_score", "side", "sex", "age", "height_m", "weight_kg",
    "ct_date", "dxa_date", "model_grade", "reader_grade", "reader_opinions",
)  # fmt: skip


def result_row(listed: Listed, said: Said) -> dict[str, Any]:
    """One series, told without anything that names the patient, the study or a day."""
    series, run = listed.series, listed.screening
    age = series.patient_age_years
    row = {
        "received_year": series.created_at.year,
        "sex": series.patient_sex,
        "age": None if age is None else min(int(age), OLDEST_TOLD),
        "manufacturer": series.manufacturer,
        "scanner_model": series.manufacturer_model_name,
        "kernel": series.convolution_kernel,
        "kvp": series.kvp,
        "slice_thickness_mm": series.slice_thickness_mm,
        "state": series.state.value,
        "reason": series.reason_code,
        "grade": run.grade if run else None,
        "model": run.model_name if run else None,
        "model_version": run.model_version if run else None,
    }
    for hip in listed.hips:
        prefix = "right" if hip.side == "R" else "left"
        chances = {f"p_{name}": value for name, value in probabilities_of(hip).items()}
        values = {
            "grade": hip.grade,
            "reason": hip.reason_code,
            **chances,
            "neck_hu": hip.neck_hu,
            "reader_grade": reader_grade(hip, said.get(hip.side, ())),
        }
        row |= {f"{prefix}_{name}": value for name, value in values.items()}
    return row


def label_rows(
    listed: Listed, said: Said, pairs: Sequence[Pair], *, spool_dir: Path, key: bytes
) -> Iterator[dict[str, Any]]:
    """One row a graded hip that DXA measured or a reader spoke of, as ``prepare`` reads it.

    ``key`` : of this file; the pseudonym groups a patient's series and leads back to nobody.
    """
    series = listed.series
    for hip in listed.hips:
        opinions = said.get(hip.side, ())
        dxa = _nearest(pairs, hip.side)
        if hip.grade is None or (dxa is None and not opinions):
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
            "reader_grade": reader_grade(hip, opinions),
            "reader_opinions": len(opinions),
        }


def reader_grade(hip: Hip, opinions: Sequence[Feedback]) -> str | None:
    """The grade that all readers who named one agree on; None where they do not."""
    named = {hip.grade if one.agrees else one.corrected_grade for one in opinions} - {None}
    return named.pop() if len(named) == 1 else None


def pseudonym(patient_id: str | None, issuer: str | None, key: bytes) -> str:
    """The same for the same patient within one file."""
    text = f"{issuer or ''}\0{patient_id or ''}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:16]


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The text of a CSV, line by line."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="")
    writer.writeheader()
    for row in rows:
        yield _taken(buffer)
        writer.writerow({name: _cell(value) for name, value in row.items()})
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula stays a text (CWE-1236)."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _nearest(pairs: Sequence[Pair], side: str) -> Pair | None:
    """The result of this hip, else one of the patient, the nearest in time."""
    fitting = [pair for pair in pairs if pair.dxa_side in {None, side}]

    def rank(pair: Pair) -> tuple[bool, int]:
        return pair.dxa_side is None, abs((pair.study_date - pair.dxa_date).days)

    return min(fitting, key=rank, default=None)
