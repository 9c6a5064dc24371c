"""Covered: source headers that violate the standard, and the report that is still written."""

from io import BytesIO

import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from tests.support.factories import make_ct_headers, make_screening
from tests.support.report_cases import AT
from worker.pipeline.capture.secondary_capture import build_captures
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.report.document import build_report
from worker.pipeline.results import Screening


def report_of(screening: Screening) -> Dataset:
    """Return the report as a receiver reads it."""
    report = build_report(screening, build_captures(screening, at=AT), at=AT)
    return dcmread(BytesIO(to_bytes(report)))


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("PatientSize", "DS", b"1,70"),
        ("PatientWeight", "DS", b"70 kg "),
        ("LossyImageCompressionRatio", "DS", b"10:1"),
        ("InstanceNumber", "IS", b"abc "),
        ("InstanceNumber", "IS", b"1\\2 "),
        ("TimezoneOffsetFromUTC", "SH", b"+9999 "),
        ("FrameOfReferenceUID", "UI", b"abc\0"),
        ("ProcedureCodeSequence", "UN", b"abcd"),
        ("RequestAttributesSequence", "LO", b"abcd"),
        ("IssuerOfPatientIDQualifiersSequence", "LO", b"abcd"),
    ],
)
def test_malformed_values_that_need_a_meaning_do_not_stop_the_report(
    keyword: str, vr: str, value: bytes
) -> None:
    headers = make_ct_headers()
    tag = Tag(keyword)
    for header in headers:
        header._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)

    report = report_of(make_screening(headers))

    assert report.StudyInstanceUID == headers[0].StudyInstanceUID
    assert not [e for e in report.iterall() if e.VR == "UI" and e.value == "abc"]
    assert all(report[key].VR == "SQ" for key in report.dir("Sequence"))


def test_text_in_a_wrong_vr_gets_that_of_its_keyword_and_two_names_are_none() -> None:
    headers = make_ct_headers()
    for header in headers:
        header["PatientID"] = DataElement("PatientID", "UT", "P1")
        header["PatientName"] = DataElement("PatientName", "PN", ["A^B", "C^D"])

    report = report_of(make_screening(headers))

    assert (report["PatientID"].VR, report.PatientID) == ("LO", "P1")
    assert report["PatientName"].is_empty


def with_raw(**values: bytes) -> Screening:
    """Return a screening whose headers have these bytes, as a file has them."""
    headers = make_ct_headers()
    for header in headers:
        for keyword, value in values.items():
            tag, vr = Tag(keyword), dictionary_VR(keyword)
            header[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return make_screening(headers)


def test_values_that_break_their_vr_are_empty_or_left_out() -> None:
    screening = with_raw(
        PatientBirthDate=b"1950.02.31",
        StudyDate=b"00000000",
        StudyTime=b"25:00",
        PatientAge=b"065 ",
        PatientSize=b"165 ",
        PatientWeight=b"nan ",
        PatientIdentityRemoved=b"perhaps ",
        TimezoneOffsetFromUTC=b"UTC ",
    )
    for ds in (report_of(screening), *build_captures(screening, at=AT)):
        assert all(ds[key].is_empty for key in ("PatientBirthDate", "StudyDate", "StudyTime"))
        for keyword in (
            "PatientAge", "PatientSize", "PatientWeight", "PatientIdentityRemoved",
            "TimezoneOffsetFromUTC",
        ):  # fmt: skip
            assert keyword not in ds


def test_dates_and_times_of_older_standards_get_the_form_of_today() -> None:
    report = report_of(
        with_raw(PatientBirthDate=b"1950.06.01", StudyDate=b"2026-04-02", StudyTime=b"10:15:30")
    )

    assert report.PatientBirthDate == "19500601"
    assert (report.StudyDate, report.StudyTime) == ("20260402", "101530")


def test_birth_date_that_contradicts_the_age_still_identifies_the_patient() -> None:
    report = report_of(
        with_raw(PatientBirthDate=b"19500601", StudyDate=b"20200601", PatientAge=b"030Y")
    )

    assert report.PatientBirthDate == "19500601"
    assert "PatientAge" not in report


def test_long_text_is_cut_so_that_the_report_stays_small() -> None:
    long = b"A" * 1_000_000
    procedure = Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator = "CT1", "99LOCAL"
    procedure.CodeMeaning = "CT abdomen"
    screening = with_raw(
        PatientName=b"^".join([long] * 3),
        PatientID=long,
        StudyDescription=long,
        AccessionNumber=long,
        Manufacturer=long,
        ReferringPhysicianName=b"\\".join([b"A"] * 100_000),
    )
    for header in screening.headers:
        header.ProcedureCodeSequence = [procedure] * 1000

    report = report_of(screening)

    assert len(str(report.PatientName)) == 64
    assert len(report.PatientID) == len(report.StudyDescription) == 64
    assert len(report.AccessionNumber) == 16
    assert len(report.PerformedProcedureCodeSequence) == 16
    assert len(to_bytes(report)) < 40_000


def test_report_names_the_patient_of_the_source_header() -> None:
    headers = make_ct_headers()
    for number, header in enumerate(headers):
        header.SOPInstanceUID = f"1.2.{len(headers) - number}"
        header.PatientID = "P1" if number < 3 else ""

    screening = make_screening(headers)

    assert screening.source is headers[2]
    assert report_of(screening).PatientID == "P1"


@pytest.mark.parametrize(
    ("removed", "method", "copied"),
    [
        (b"YES ", b"PS3.15 E", True),
        (b"NO", b"", True),
        (b"YES ", b"", False),
        (b"Y ", b"E ", False),
    ],
)
def test_identity_removed_is_copied_where_the_standard_allows_it(
    removed: bytes, method: bytes, copied: bool
) -> None:
    report = report_of(with_raw(PatientIdentityRemoved=removed, DeidentificationMethod=method))

    assert ("PatientIdentityRemoved" in report) is copied


@pytest.mark.parametrize(("lossy", "copied"), [(b"01", True), (b"00", True), (b"YES ", False)])
def test_compression_is_copied_where_it_is_stated_in_a_known_term(
    lossy: bytes, copied: bool
) -> None:
    screening = with_raw(LossyImageCompression=lossy, LossyImageCompressionRatio=b"8.5 ")
    for picture in build_captures(screening, at=AT):
        assert ("LossyImageCompression" in picture) is copied
        assert ("LossyImageCompressionRatio" in picture) is copied


def test_request_without_a_usable_accession_number_has_an_empty_one() -> None:
    (request,) = report_of(with_raw(AccessionNumber=b"A1\\A2 ")).ReferencedRequestSequence

    assert request.AccessionNumber == ""


@pytest.mark.parametrize("missing", ["CodeValue", "CodingSchemeDesignator", "CodeMeaning"])
def test_code_without_one_of_its_parts_is_left_out(missing: str) -> None:
    headers = make_ct_headers()
    for header in headers:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99L", "CT"
        delattr(code, missing)
        header.ProcedureCodeSequence = [code]

    assert len(report_of(make_screening(headers)).PerformedProcedureCodeSequence) == 0
