"""Covered: which DXA results a report states, and how."""

from datetime import date

import pytest
from pydicom import Dataset

from tests.support.factories import make_screening
from tests.support.report_cases import AT
from worker.pipeline.known_dxa import KnownDxa, dxa_lines, is_recent
from worker.pipeline.patient_history import PatientHistory
from worker.pipeline.report.document import build_report
from worker.pipeline.wording import DXA_IS_REFERENCE

LEFT = KnownDxa(date(2024, 11, 3), -2.5, "L")
PATIENT = KnownDxa(date(2024, 2, 1), 0.4, None)


@pytest.mark.parametrize(
    ("dxa", "recent"),
    [
        (date(2024, 2, 29), True),
        (date(2022, 3, 1), True),
        (date(2022, 2, 28), False),
        (date(2026, 3, 1), True),
        (date(2026, 3, 2), False),
    ],
)
def test_a_dxa_of_two_years_is_stated(dxa: date, recent: bool) -> None:
    assert is_recent(dxa, date(2024, 3, 1)) is recent


def test_each_result_has_its_date_score_site_and_category() -> None:
    assert list(dxa_lines([LEFT, PATIENT])) == [
        "DXA on record, 2024-02-01: T-score +0.4 (normal).",
        "DXA on record, 2024-11-03: T-score -2.5 (left hip, osteoporosis).",
        DXA_IS_REFERENCE,
    ]


def test_without_a_dxa_nothing_is_said() -> None:
    assert list(dxa_lines([])) == []


def test_the_report_states_it() -> None:
    report = build_report(make_screening(), [], at=AT, history=PatientHistory(dxa=[LEFT]))

    assert "DXA on record, 2024-11-03: T-score -2.5 (left hip, osteoporosis)." in texts(report)


def texts(item: Dataset) -> list[str]:
    """Return the text values of an item and of all items below it."""
    below = [text for one in item.get("ContentSequence", ()) for text in texts(one)]
    return [str(item.TextValue), *below] if "TextValue" in item else below
