"""Covered: content and header of the structured report. Not covered: coordinates
(test_regions), rules over every case (test_rules), validators (integration/test_validators)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from tests.support.factories import MODEL, make_ct_headers, make_screening
from tests.support.report_cases import AT, CLINICAL_MODEL, METAL, built
from tests.support.report_tree import REGION_SIDES, groups, named, not_evaluated, side_of, value
from worker.pipeline import statements, wording
from worker.pipeline.capture.secondary_capture import build_captures
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.report.document import build_report
from worker.pipeline.results import Grade, Screening


def report_of(screening: Screening, **options: object) -> Dataset:
    return build_report(screening, build_captures(screening, at=AT), at=AT, **options)  # type: ignore[arg-type]


def read_back(report: Dataset) -> Dataset:
    return dcmread(BytesIO(to_bytes(report)))


def comments(report: Dataset) -> list[str]:
    return [item.TextValue for item in named(report, "121106")]


def impression_of(report: Dataset) -> str:
    (item,) = named(report, "121073")
    return str(item.TextValue)


def side_of_value(item: Dataset) -> str:
    return REGION_SIDES.get(value(item), "")


def test_clock_changes_the_file_and_no_uid() -> None:
    screening = make_screening()
    pictures = build_captures(screening, at=AT)
    now, later = (
        build_report(screening, pictures, at=at) for at in (AT, AT + timedelta(seconds=1))
    )

    assert to_bytes(now) != to_bytes(later)
    assert now.SOPInstanceUID == later.SOPInstanceUID
    assert now.SeriesInstanceUID == later.SeriesInstanceUID


def test_every_clock_value_is_the_given_one() -> None:
    source = make_ct_headers(slices=1)[0]
    expected = {str(source.StudyDate), str(source.StudyTime), str(source.PatientBirthDate)}
    expected |= {"20261123", "153001.123456", "20261123153001.123456+0000"}
    for ds in built("both hips")[1:]:
        clock = {str(e.value) for e in ds.iterall() if e.VR in ("DA", "TM", "DT") and e.value}

        assert clock <= expected
        assert "153001.123456" in clock


def test_clock_is_written_in_the_time_zone_of_the_source() -> None:
    report = built("rich header")[2]

    assert report.TimezoneOffsetFromUTC == "+0930"
    assert (report.ContentDate, report.ContentTime) == ("20261124", "010001.123456")
    moment = report.ContributingEquipmentSequence[-1].ContributionDateTime
    assert moment == "20261124010001.123456+0930"
    assert "TimezoneOffsetFromUTC" not in built("both hips")[2]


@pytest.mark.parametrize(
    "changed",
    [
        lambda s: replace(s, model=CLINICAL_MODEL),
        lambda s: replace(s, warnings=("new",)),
        lambda s: replace(s, headers=make_ct_headers(AccessionNumber="other")),
    ],
    ids=["model", "warning", "accession number"],
)
def test_changed_content_changes_object_uids_and_keeps_tracking_uids(
    changed: Callable[[Screening], Screening],
) -> None:
    before = report_of(make_screening())
    after = report_of(changed(make_screening()))

    assert before.SOPInstanceUID != after.SOPInstanceUID
    assert before.SeriesInstanceUID != after.SeriesInstanceUID
    tracking = [[item.UID for item in named(report, "112040")] for report in (before, after)]
    assert tracking[0] == tracking[1]


def test_tracking_uids_of_another_study_are_different() -> None:
    other = make_ct_headers(StudyInstanceUID="1.2.826.0.1.3680043.8.498.9")
    one, two = (
        {str(item.UID) for item in named(report_of(make_screening(headers)), "112040")}
        for headers in (None, other)
    )

    assert not one & two


def test_hip_that_was_not_assessed_has_its_reason() -> None:
    report = report_of(make_screening(right=METAL, left=Grade.NORMAL))
    (right,) = not_evaluated(report)

    assert side_of(right) == "R"
    assert [value(item) for item in named(right, "NA_REASON")] == ["NA_METAL"]
    assert "NOT ASSESSABLE. Metal at the hip" in comments(right)[0]
    assert {side_of(group) for group in groups(report)} == {"L"}


def test_conclusion_of_one_assessed_hip_names_that_side_only() -> None:
    report = report_of(make_screening(right=METAL, left=Grade.NORMAL))
    (conclusion,) = named(report, "121077")

    assert (side_of(conclusion), value(conclusion)) == ("L", "17621005")
    assert [side_of_value(item) for item in named(report, "ASSESSED_SIDES")] == ["L"]
    assert impression_of(report) == (
        "DEMONSTRATION, not for clinical use: no low density suggested (left hip; right hip "
        "not assessable: metal); this does not exclude osteoporosis."
    )


def test_side_that_was_not_found_is_reported() -> None:
    (right,) = not_evaluated(report_of(make_screening(right=None)))

    assert side_of(right) == "R"
    assert [value(item) for item in named(right, "NA_REASON")] == ["NA_NO_FEMUR"]


def test_conclusion_is_the_worse_grade_of_both_hips() -> None:
    report = report_of(make_screening())
    (conclusion,) = named(report, "121077")

    assert (side_of(conclusion), value(conclusion)) == ("L", "64859006")
    assert [side_of_value(item) for item in named(report, "ASSESSED_SIDES")] == [""]
    assert "grade osteoporosis (left hip; right hip osteopenia)" in impression_of(report)


@pytest.mark.covers("H11")
def test_report_of_two_hips_that_cannot_be_assessed_names_both() -> None:
    """The pipeline rejects such a series and sends nothing; the report could be written."""
    report = build_report(make_screening(right=METAL, left=None), [], at=AT)
    (conclusion,) = named(report, "121077")

    assert value(conclusion) == "373121007"
    assert [side_of(item) for item in not_evaluated(report)] == ["R", "L"]
    assert groups(report) == []
    assert named(report, "ASSESSED_SIDES") == []
    assert impression_of(report) == (
        "DEMONSTRATION, not for clinical use: no result (right hip not assessable: metal; left "
        "hip not assessable: not found)."
    )


@pytest.mark.parametrize(
    ("left_out", "missing"),
    [
        ((), None),
        (("PatientSize", "PatientWeight"), "Not in the source header: height, weight."),
        (("PatientAge",), None),  # the birth date gives it
        (
            ("PatientAge", "PatientBirthDate", "PatientSex"),
            "Not in the source header: sex, age.",
        ),
    ],
)
def test_unused_and_missing_demographics_are_named(
    left_out: tuple[str, ...], missing: str | None
) -> None:
    headers = make_ct_headers(**dict.fromkeys(left_out))
    text = next(t for t in comments(report_of(make_screening(headers))) if "Image model" in t)

    assert "were not used" in text
    assert (missing in text) if missing else ("Not in the source" not in text)


@pytest.mark.covers("H13")
def test_notice_limitations_and_warnings_are_comments() -> None:
    found = comments(report_of(make_screening(warnings=("slices overlap",))))

    assert statements.notice(MODEL) in found
    assert wording.LIMITATIONS in found
    assert found[-1] == "Warning: slices overlap"


def test_notice_of_a_site_model_names_research_and_no_simulation() -> None:
    text = " ".join(comments(report_of(make_screening(model=CLINICAL_MODEL))))

    assert "not reviewed by a physician" in text
    assert "simulated" not in text
    assert "Previous" not in text


def test_predecessor_is_referenced() -> None:
    old = report_of(make_screening(warnings=("old",)))
    new = report_of(make_screening(), predecessor=old)

    series = new.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == old.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert new.SOPInstanceUID != report_of(make_screening()).SOPInstanceUID


def test_evidence_is_every_slice_and_both_pictures() -> None:
    screening, capture, report = built("axial")
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence

    assert [len(item.ReferencedSOPSequence) for item in series] == [len(screening.headers), 2]
    assert series[1].SeriesInstanceUID == capture.SeriesInstanceUID


def test_request_and_procedure_come_from_the_source_where_it_has_them() -> None:
    rich, bare = built("rich header")[2], built("bare header")[2]

    request = rich.ReferencedRequestSequence[0]
    assert request.AccessionNumber == "A-2026-117"
    assert request.RequestedProcedureID == "RP-7"
    assert rich.PerformedProcedureCodeSequence[0].CodeValue == "CTABD"
    assert "ReferencedRequestSequence" not in bare
    assert len(bare.PerformedProcedureCodeSequence) == 0


@pytest.mark.parametrize(
    ("scheme", "code_value", "reported"),
    [("99LOCAL", "CTABD", "25045-6"), ("LN", "44136-0", "44136-0")],
)
def test_procedure_reported_is_from_its_context_group(
    scheme: str, code_value: str, reported: str
) -> None:
    procedure = Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator = code_value, scheme
    procedure.CodeMeaning = "as the site calls it"
    headers = make_ct_headers(ProcedureCodeSequence=[procedure])

    report = report_of(make_screening(headers))
    assert [value(item) for item in named(report, "121058")] == [reported]


def test_invalid_values_are_cut_or_left_empty_like_an_unknown_sex() -> None:
    headers = make_ct_headers(
        PatientID="x" * 80, PatientBirthDate="unknown", PatientSex="X", StudyTime="25:99"
    )
    report = read_back(report_of(make_screening(headers)))

    assert report.get_item("PatientID").value == b"x" * 64
    assert report["PatientBirthDate"].is_empty
    assert report["StudyTime"].is_empty
    assert report.PatientSex == ""


def test_header_has_the_study_of_the_source_and_its_own_series() -> None:
    screening, capture, report = built("both hips")

    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert built("both hips", "comprehensive")[2].SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert report.StudyInstanceUID == screening.headers[0].StudyInstanceUID
    source_series = screening.headers[0].SeriesInstanceUID
    assert len({report.SeriesInstanceUID, capture.SeriesInstanceUID, source_series}) == 3
    assert (report.CompletionFlag, report.PreliminaryFlag) == ("COMPLETE", "PRELIMINARY")
    assert "not reviewed" in report.CompletionFlagDescription


def test_acquiring_and_processing_equipment_are_named() -> None:
    acquisition, processing = built("both hips")[2].ContributingEquipmentSequence

    assert acquisition.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
    assert acquisition.Manufacturer == "Example Medical"
    assert processing.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert len(built("bare header")[2].ContributingEquipmentSequence) == 1


def test_building_does_not_modify_the_source_headers() -> None:
    screening = make_screening()
    before = [header.to_json() for header in screening.headers]
    report_of(screening)

    assert [header.to_json() for header in screening.headers] == before


def test_graded_hip_without_plane_is_refused() -> None:
    screening = make_screening()
    pictures = build_captures(screening, at=AT)
    hips = tuple(replace(hip, plane=None) for hip in screening.hips)

    with pytest.raises(ValueError, match="no plane or crop"):
        build_report(replace(screening, hips=hips), pictures, at=AT)
