"""Covered: every case complies with the rules that no validator checks. ``test_faults`` shows
that the rules find faults."""

from io import BytesIO

import highdicom
import pytest

from tests.support.report_cases import AT, CASES, SPINE_CASES, built, pictures_of
from tests.support.report_rules import violations
from tests.support.report_tree import groups, items, level_of, named, value
from worker.pipeline.capture.secondary_capture import build_captures
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.report.document import build_report
from worker.pipeline.report.regions import SopClass
from worker.pipeline.results import NeckAttenuation

BOTH: tuple[SopClass, SopClass] = ("comprehensive3d", "comprehensive")


@pytest.mark.parametrize("sop_class", BOTH)
@pytest.mark.parametrize("case", CASES)
def test_report_complies_with_every_rule(case: str, sop_class: SopClass) -> None:
    screening, capture, report = built(case, sop_class)

    assert violations(report, capture, screening) == []


@pytest.mark.parametrize("case", CASES)
@pytest.mark.covers("R11")
def test_rebuilt_pictures_and_reports_are_byte_identical(case: str) -> None:
    screening = CASES[case]()
    pictures = build_captures(screening, at=AT)
    reports = [build_report(screening, pictures, at=AT, sop_class=which) for which in BOTH]

    # The earlier ones were read back, and are written as they were read.
    before = [*pictures_of(case), *(built(case, which)[2] for which in BOTH)]
    assert [to_bytes(ds) for ds in (*pictures, *reports)] == [to_bytes(ds) for ds in before]


@pytest.mark.parametrize("case", CASES)
def test_highdicom_reads_the_groups_back(case: str) -> None:
    screening, _, report = built(case)
    read = highdicom.sr.srread(BytesIO(to_bytes(report)))

    graded = [hip for hip in screening.hips if hip.grade is not None]
    rois = read.content.get_planar_roi_measurement_groups()
    others = read.content.get_image_measurement_groups()
    measured = [hip for hip in graded if isinstance(hip.neck, NeckAttenuation)]
    vertebrae = screening.lumbar.regions if screening.lumbar is not None else ()
    assert len(rois) == len(graded) + len(measured) + len(vertebrae)
    assert len(rois) + len(others) == len(groups(report))


@pytest.mark.parametrize("sop_class", BOTH)
@pytest.mark.parametrize("case", SPINE_CASES)
def test_report_without_a_grade_complies_with_every_rule(
    case: str, sop_class: SopClass
) -> None:
    screening = SPINE_CASES[case]()
    pictures = build_captures(screening, at=AT)
    report = build_report(screening, pictures, at=AT, sop_class=sop_class)
    assert violations(report, pictures[0], screening) == []
    again = build_report(
        screening, build_captures(screening, at=AT), at=AT, sop_class=sop_class
    )
    assert to_bytes(again) == to_bytes(report)


def test_vertebra_of_uncertain_level_names_no_level_and_no_limit() -> None:
    _, _, report = built("both hips and a spine of uncertain level")
    found = [group for group in groups(report) if level_of(group)]

    assert {value(named(group, "363698007")[0]) for group in found} == {"122496007"}
    titles = [named(group, "112039")[0].TextValue for group in found]
    assert titles == [f"Lumbar, level uncertain, {number} of 4" for number in (1, 2, 3, 4)]
    words = [item.TextValue for item in items(report) if item.ValueType == "TEXT"]
    why = "Level uncertain: sacrum and last ribs give different levels. No published limit"
    assert sum(text.startswith(why) for text in words) == 4
    assert not any("Pickhardt" in text or "L1" in text for text in words)
    equipment = [one.ManufacturerModelName for one in report.ContributingEquipmentSequence]
    assert "osteoscreen-lumbar" in equipment


def test_rules_find_faults_of_a_vertebra() -> None:
    screening = SPINE_CASES["axial"]()
    pictures = build_captures(screening, at=AT)
    other = SPINE_CASES["axial, one vertebra refused, 140 kV"]()
    report = build_report(screening, pictures, at=AT)
    assert "the groups of vertebrae are not those that were measured" in violations(
        report, pictures[0], other
    )
    moved = build_report(screening, pictures, at=AT)
    named(groups(moved)[0], "111030")[0].GraphicData = [
        value + 20 for value in named(groups(moved)[0], "111030")[0].GraphicData
    ]
    assert violations(moved, pictures[0], screening) == [
        "the outline of a vertebra lies elsewhere"
    ]


def test_report_without_a_grade_says_what_was_measured() -> None:
    screening = SPINE_CASES["axial, one vertebra refused, 140 kV"]()
    report = build_report(screening, build_captures(screening, at=AT), at=AT)
    words = " ".join(item.TextValue for item in items(report) if item.ValueType == "TEXT")
    assert report.SeriesDescription == "Lumbar spine attenuation - RESEARCH, not for diagnosis"
    assert "L1 not measured: There is cement" in words
    assert "Levels were counted from the sacrum" in words
    assert "probability" not in words.lower()
    assert named(report, "111000") == []  # no Algorithm Family: no artificial intelligence
