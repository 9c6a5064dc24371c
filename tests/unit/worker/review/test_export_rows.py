"""Exported CSV files: no identifiers, T-scores from DXA only, no formulas."""

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from db.dxa import Pair
from db.models import Feedback, HipResult, Screening, Series
from db.states import SeriesState
from db.worklist import Listed
from worker.review.export_rows import (
    LABEL_COLUMNS,
    RESULT_COLUMNS,
    csv_lines,
    label_rows,
    pseudonym,
    reader_grade,
    result_row,
)

DAY = date(2026, 11, 20)
IDENTIFIERS = ("PAT-1", "ACC-1", "General", "1.2.3", "2026-11", "Jane")


def listed(**values: Any) -> Listed:
    series = Series(
        id=77,
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        state=SeriesState.DELIVERED,
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
        patient_id="PAT-1",
        issuer_of_patient_id="General",
        accession_number="ACC-1",
        series_description="Jane's hips",
        patient_sex="F",
        patient_age_years=93.0,
        study_date=DAY,
        manufacturer="=cmd()",
    )
    for name, value in values.items():
        setattr(series, name, value)
    return Listed(series, None, [hip("R", "normal"), hip("L", None)])


def hip(side: str, grade: str | None) -> HipResult:
    return HipResult(side=side, grade=grade, neck_hu=104.0, probability_normal=0.9)


def feedback(side: str, *, agrees: bool, grade: str | None = None) -> Feedback:
    return Feedback(side=side, agrees=agrees, corrected_grade=grade)


def dxa(t_score: float, side: str | None, day: date = DAY) -> Pair:
    return Pair(("PAT-1", "General"), day, side, t_score, 77, DAY, None, ())


def text_of(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    return "".join(csv_lines(columns, rows))


def test_measured_vertebrae_have_a_column_each() -> None:
    row = result_row(replace(listed(), lumbar_hu={"L1": 104.3, "L3": 120.0}), {})

    text = text_of(RESULT_COLUMNS, [row])
    read = next(csv.DictReader(io.StringIO(text)))
    assert [read[f"l{number}_hu"] for number in (1, 2, 3, 4)] == ["104.3", "", "120", ""]


def test_results_contain_no_identifiers_and_no_days() -> None:
    text = text_of(RESULT_COLUMNS, [result_row(listed(), {})])

    assert [one for one in IDENTIFIERS if one in text] == []
    row = next(csv.DictReader(io.StringIO(text)))
    assert (row["received_year"], row["age"], row["right_grade"]) == ("2026", "90", "normal")
    assert row["manufacturer"] == "'=cmd()"
    assert None not in row


def test_labels_prefer_the_t_score_of_the_hip_to_that_of_the_patient() -> None:
    pairs = [dxa(-1.0, None), dxa(-2.7, "R", date(2026, 9, 1)), dxa(-3.0, "L")]

    rows = list(label_rows(listed(), {}, pairs, spool_dir=Path("/spool"), key=b"k"))

    assert [(row["side"], row["t_score"]) for row in rows] == [("R", -2.7)]
    text = text_of(LABEL_COLUMNS, rows)
    assert "PAT-1" not in text
    assert "/spool/1.2.3/1.2.3.4" in text


def test_a_withdrawn_result_is_no_label() -> None:
    one = listed()
    withdrawn = Screening(withdrawn_at=datetime(2026, 11, 22, tzinfo=UTC))
    by_side = {"R": [feedback("R", agrees=True)]}

    rows = label_rows(
        Listed(one.series, withdrawn, one.hips),
        by_side,
        [dxa(-2.7, "R")],
        spool_dir=Path("/spool"),
        key=b"k",
    )

    assert list(rows) == []


def test_a_readers_grade_is_never_a_t_score() -> None:
    by_side = {"R": [feedback("R", agrees=False, grade="osteopenia")]}

    rows = list(label_rows(listed(), by_side, [], spool_dir=Path("/spool"), key=b"k"))

    assert [(row["t_score"], row["reader_grade"]) for row in rows] == [(None, "osteopenia")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], None),
        ([feedback("R", agrees=True)], "normal"),
        ([feedback("R", agrees=False)], None),
        ([feedback("R", agrees=False, grade="osteopenia")], "osteopenia"),
        ([feedback("R", agrees=True), feedback("R", agrees=False, grade="osteopenia")], None),
        ([feedback("R", agrees=True), feedback("R", agrees=True)], "normal"),
    ],
)
def test_readers_who_disagree_give_no_grade(
    given: list[Feedback], expected: str | None
) -> None:
    assert reader_grade(hip("R", "normal"), given) == expected


def test_pseudonyms_group_within_a_file_only() -> None:
    assert pseudonym("P", "a", b"1") == pseudonym("P", "a", b"1")
    assert pseudonym("P", "a", b"1") != pseudonym("P", "b", b"1")
    assert pseudonym("P", "a", b"1") != pseudonym("P", "a", b"2")
