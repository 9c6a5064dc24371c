"""Every case keeps the rules that no validator checks, and the rules see seeded faults."""

from collections.abc import Callable
from copy import deepcopy
from io import BytesIO

import highdicom
import pytest
from pydicom import Dataset

from tests.report_cases import AT, CASES, built
from tests.report_rules import complaints, groups, named, side_of
from worker.pipeline.capture import build_capture
from worker.pipeline.header import to_bytes
from worker.pipeline.report import build_report
from worker.pipeline.report_regions import SopClass
from worker.pipeline.results import NeckAttenuation

BOTH: tuple[SopClass, SopClass] = ("comprehensive3d", "comprehensive")


@pytest.mark.parametrize("sop_class", BOTH)
@pytest.mark.parametrize("case", CASES)
def test_report_keeps_every_rule(case: str, sop_class: SopClass) -> None:
    screening, capture, report = built(case, sop_class)

    assert complaints(report, capture, screening) == []


@pytest.mark.parametrize("case", CASES)
def test_rebuilt_capture_and_reports_are_byte_identical(case: str) -> None:
    screening = CASES[case]()
    capture = build_capture(screening, at=AT)
    reports = [build_report(screening, capture, at=AT, sop_class=which) for which in BOTH]

    # Those built before were read back, and are written as they were read.
    before = [built(case)[1], *(built(case, which)[2] for which in BOTH)]
    assert [to_bytes(ds) for ds in (capture, *reports)] == [to_bytes(ds) for ds in before]


@pytest.mark.parametrize("case", CASES)
def test_highdicom_reads_the_groups_back(case: str) -> None:
    screening, _, report = built(case)
    read = highdicom.sr.srread(BytesIO(to_bytes(report)))

    graded = [hip for hip in screening.hips if hip.grade is not None]
    rois = read.content.get_planar_roi_measurement_groups()
    others = read.content.get_image_measurement_groups()
    measured = [hip for hip in graded if isinstance(hip.neck, NeckAttenuation)]
    assert len(rois) == len(graded) + len(measured)
    assert len(rois) + len(others) == len(groups(report))


def set_code(item: Dataset, keyword: str, code_value: str) -> None:
    item[keyword].value[0].CodeValue = code_value


def set_number(item: Dataset, number: str) -> None:
    item.MeasuredValueSequence[0].NumericValue = number


def drop_left(sr: Dataset) -> None:
    measurements = named(sr, "126010")[0]
    for group in groups(sr):
        if side_of(group) == "L":
            measurements.ContentSequence.remove(group)


def share_tracking_uid(sr: Dataset) -> None:
    first, second = (named(group, "112040")[0] for group in groups(sr)[:2])
    second.UID = first.UID


def drop_region(sr: Dataset) -> None:
    group = groups(sr)[1]
    group.ContentSequence.remove(named(group, "111030")[0])


def empty_comments(sr: Dataset) -> None:
    for comment in named(sr, "121106"):
        comment.TextValue = ""


def bogus_unit(sr: Dataset) -> None:
    measured = named(sr, "112181")[0].MeasuredValueSequence[0]
    set_code(measured, "MeasurementUnitsCodeSequence", "HUU")


def alter_meaning(sr: Dataset) -> None:
    named(sr, "121071")[0].ConceptCodeSequence[0].CodeMeaning = "Distal Femur"


def open_outline(sr: Dataset) -> None:
    named(sr, "111030")[0].GraphicData = [1, 1, 2, 1, 2, 2, 1, 2, 1, 3]


def leave_the_image(sr: Dataset) -> None:
    named(sr, "111030")[0].GraphicData = [1, 1, 900, 1, 900, 9, 1, 9, 1, 1]


def drop_deviation(sr: Dataset) -> None:
    group = groups(sr)[2]
    group.ContentSequence.remove(named(group, "112183")[0])


def drop_capture(sr: Dataset) -> None:
    sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence.pop()


# What each fault is, by the words of the complaint that has to see it.
FAULTS: dict[str, Callable[[Dataset], object]] = {
    "tracking UIDs": share_tracking_uid,
    "sum to 100": lambda sr: set_number(named(sr, "P_NORMAL")[0], "70"),
    "out of range": lambda sr: set_number(named(sr, "P_NORMAL")[0], "170"),
    "most probable": lambda sr: set_code(
        named(groups(sr)[1], "BMD_CLASS")[0], "ConceptCodeSequence", "17621005"
    ),
    "open outline": open_outline,
    "outside the image": leave_the_image,
    "without exactly one region": drop_region,
    "laterality": lambda sr: set_code(
        named(groups(sr)[1], "272741003")[0], "ConceptCodeSequence", "7771000"
    ),
    "passed over": drop_left,
    "not in the evidence": drop_capture,
    "algorithm item": lambda sr: setattr(named(groups(sr)[2], "111003")[0], "TextValue", "0"),
    "equipment differ": lambda sr: setattr(named(sr, "121012")[0], "UID", "1.2.3"),
    "notice": empty_comments,
    "not declared": lambda sr: delattr(sr, "CodingSchemeIdentificationSequence"),
    "unknown unit": bogus_unit,
    "not that of the outline": lambda sr: set_number(named(sr, "42798000")[0], "95"),
    "without its deviation": drop_deviation,
    "altered meaning": alter_meaning,
    "language": lambda sr: sr.ContentSequence.pop(0),
    "SEPARATE": lambda sr: setattr(sr, "ContinuityOfContent", "CONTINUOUS"),
    "verified": lambda sr: setattr(sr, "VerificationFlag", "VERIFIED"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_rules_see_a_seeded_fault(fault: str) -> None:
    screening, capture, report = built("both hips")
    broken = deepcopy(report)
    FAULTS[fault](broken)

    assert any(fault in complaint for complaint in complaints(broken, capture, screening))
