"""Covered: sentences of SR and SC on earlier results of the same patient."""

from dataclasses import replace
from datetime import date

import pytest

from tests.support.factories import MODEL, make_ct_headers, make_screening
from tests.support.report_cases import AT, METAL
from tests.support.report_tree import named
from worker.pipeline.capture.secondary_capture import build_captures
from worker.pipeline.patient_history import PatientHistory
from worker.pipeline.previous import (
    PreviousHip,
    PreviousResult,
    picture_line,
    picture_note,
    report_lines,
)
from worker.pipeline.report.document import build_report
from worker.pipeline.results import Grade, Screening

THEN = PreviousHip(
    Grade.OSTEOPENIA,
    {Grade.NORMAL: 0.2, Grade.OSTEOPENIA: 0.65, Grade.OSTEOPOROSIS: 0.15},
    174.6,
)


def result(day: date, *, version: str = MODEL.version, **hips: PreviousHip) -> PreviousResult:
    return PreviousResult(
        day, Grade.OSTEOPENIA, MODEL.name, version, MODEL.sha256, hips or {"R": THEN, "L": THEN}
    )


def right_line(screening: Screening, *previous: PreviousResult) -> str:
    return picture_line(screening, screening.hips[0], previous)


def test_change_of_each_hip_is_grade_probability_and_attenuation() -> None:
    line, caveat = report_lines(make_screening(), [result(date(2025, 3, 20))])

    assert line == (
        "Previous result, 2025-03-20: osteopenia (same model). "
        "Right hip: osteopenia then, osteopenia now; probability of osteopenia was 65 %, "
        "is 64 % now; neck was 175 HU, is 161 HU now (-14). "
        "Left hip: osteopenia then, osteoporosis now; probability of osteoporosis was 15 %, "
        "is 83 % now; neck was 175 HU, is 161 HU now (-14)."
    )
    assert "Only DXA measures a change" in caveat


def test_results_are_in_the_order_of_their_dates() -> None:
    days = [date(2026, 1, 5), date(2019, 7, 1), date(2024, 2, 2)]
    lines = list(report_lines(make_screening(), [result(day) for day in days]))

    assert [line[17:27] for line in lines[:3]] == ["2019-07-01", "2024-02-02", "2026-01-05"]


@pytest.mark.parametrize("changed", ["version", "name", "weights"])
def test_result_of_another_model_is_named_and_not_compared(changed: str) -> None:
    same = result(date(2024, 3, 2))
    other = {
        "version": replace(same, model_version="2024.1"),
        "name": replace(same, model_name="other"),
        "weights": replace(same, model_sha256="00" * 32),
    }[changed]
    screening = make_screening()

    (line,) = report_lines(screening, [other])

    assert line.startswith("Previous result, 2024-03-02: osteopenia (model ")
    assert line.endswith("Another model: not compared.")
    assert right_line(screening, other) == ""
    assert "not compared" in picture_note(screening, [other])


def test_hip_that_was_or_is_not_assessable_is_named_so() -> None:
    before = result(date(2025, 3, 20), R=THEN, L=PreviousHip(None))
    screening = make_screening(right=METAL, left=Grade.NORMAL)

    line, _ = report_lines(screening, [before])

    assert "Right hip: osteopenia then, not assessable now." in line
    assert "Left hip: not assessable then, normal now." in line
    assert right_line(screening, before) == "20 months ago: osteopenia, neck 175 HU."
    assert picture_line(screening, screening.hips[1], [before]) == (
        "20 months ago: not assessable."
    )


@pytest.mark.parametrize(
    ("day", "ago"),
    [
        (date(2026, 11, 1), "19 days ago"),
        (date(2025, 3, 20), "20 months ago"),
        (date(2019, 5, 20), "7.5 years ago"),
    ],
)
def test_picture_states_the_interval_and_never_a_date(day: date, ago: str) -> None:
    line = right_line(make_screening(), result(day))

    assert line == f"{ago}: osteopenia (then 65 % osteopenia), neck 175 HU (-14 since)."


def test_picture_shows_the_newest_result_that_can_be_compared() -> None:
    old, new = result(date(2019, 5, 20)), result(date(2025, 3, 20))
    newest = result(date(2026, 1, 1), version="other")
    screening = make_screening()

    assert right_line(screening, old, newest, new).startswith("20 months ago")
    assert picture_note(screening, [old, newest, new]).startswith("11 months ago: osteopenia")
    assert picture_note(screening, [old, new]) == ""


def test_report_and_picture_hold_the_line() -> None:
    screening, previous = make_screening(), [result(date(2025, 3, 20))]
    pictures = build_captures(screening, at=AT, previous=previous)
    report = build_report(screening, pictures, at=AT, history=PatientHistory(previous))

    comments = [item.TextValue for item in named(report, "121106")]
    assert [text for text in comments if text.startswith("Previous result")] == list(
        report_lines(screening, previous)
    )[:1]
    without = build_captures(screening, at=AT)
    assert pictures[0].SOPInstanceUID != without[0].SOPInstanceUID
    assert pictures[0].PixelData != without[0].PixelData
    assert pictures[1].PixelData == without[1].PixelData


def test_study_without_date_says_earlier() -> None:
    screening = make_screening(make_ct_headers(StudyDate=None))

    assert right_line(screening, result(date(2019, 5, 20))).startswith("Earlier: ")
