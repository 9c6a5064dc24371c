"""Covered: what the report begins with, and the codes and values of the result."""

import pytest
from pydicom import Dataset

from tests.support.factories import make_ct_headers, make_screening, with_hip
from tests.support.report_cases import AT, CLINICAL_MODEL
from tests.support.report_tree import items, name, named, value
from worker.pipeline.capture.secondary_capture import build_captures
from worker.pipeline.report.document import build_report
from worker.pipeline.results import Grade, Screening


def report_of(screening: Screening) -> Dataset:
    return build_report(screening, build_captures(screening, at=AT), at=AT)


def comments(report: Dataset) -> list[str]:
    return [item.TextValue for item in named(report, "121106")]


def test_conclusion_of_two_hips_of_one_grade_is_bilateral() -> None:
    report = report_of(make_screening(right=Grade.NORMAL, left=Grade.NORMAL))
    (conclusion,) = named(report, "121077")

    assert value(named(conclusion, "272741003")[0]) == "51440002"


def test_impression_and_recommendation_are_read_first() -> None:
    report = report_of(make_screening(model=CLINICAL_MODEL))
    first, second, *_ = (
        item for item in report.ContentSequence if item.RelationshipType == "CONTAINS"
    )

    assert first.TextValue == (
        "Low density suggested, grade osteoporosis (left hip; right hip osteopenia)."
    )
    coded, in_words = second.ContentSequence
    assert coded.ConceptCodeSequence[0].CodeMeaning == "Dual energy X-Ray absorptiometry"
    assert in_words.TextValue == "Confirm with DXA before any decision about treatment."


def test_under_50_the_impression_is_qualified_once() -> None:
    headers = make_ct_headers(PatientAge="043Y", PatientBirthDate=None)
    warning = "WHO category: applies to women after menopause."
    report = report_of(make_screening(headers, warnings=(warning, "Noise: high.")))
    names = [name(item) for item in report.ContentSequence]

    assert report.ContentSequence[names.index("121073") + 1].TextValue.startswith(
        "Patient under 50 years:"
    )
    assert [text for text in comments(report) if text.startswith("Warning")] == [
        "Warning: Noise: high."
    ]


def test_probabilities_are_not_rounded_and_their_names_have_the_side() -> None:
    chances = dict(zip(Grade, (0.000432, 0.012345, 0.987223), strict=True))
    report = report_of(with_hip(make_screening(), 1, probabilities=chances))
    found = {
        name(item): (
            item.ConceptNameCodeSequence[0].CodeMeaning,
            float(item.MeasuredValueSequence[0].NumericValue),
        )
        for item in items(report)
        if name(item).startswith("P_") and name(item).endswith("_L")
    }

    assert found == {
        "P_NORMAL_L": ("Left P(normal bone)", 0.0432),
        "P_OSTEOPENIA_L": ("Left P(osteopenia)", 1.2345),
        "P_OSTEOPOROSIS_L": ("Left P(osteoporosis)", 98.7223),
    }


@pytest.mark.parametrize(
    ("part", "region"),
    [
        ("ABDOMEN", ["Abdomen"]), ("pelvis", ["Pelvis"]), ("HIP", ["Hip"]), (None, []),
        ("ABDOMEN PELVIS", ["Abdomen and Pelvis"]), ("SKULL", []),
        ("CHESTABDPELVIS", ["Chest, Abdomen and Pelvis"]),
    ],
)  # fmt: skip
def test_anatomy_of_the_procedure_is_the_body_part_of_the_source(
    part: str | None, region: list[str]
) -> None:
    report = report_of(make_screening(make_ct_headers(BodyPartExamined=part)))

    (procedure,) = named(report, "121058")
    assert value(procedure) == "25045-6"
    regions = named(procedure, "123014")
    assert [item.ConceptCodeSequence[0].CodeMeaning for item in regions] == region
