"""Source headers that break the standard, and the report that is written all the same."""

from io import BytesIO

import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from tests.factories import make_ct_headers, make_screening
from tests.report_cases import AT
from worker.pipeline.capture import build_capture
from worker.pipeline.header import to_bytes
from worker.pipeline.report import build_report
from worker.pipeline.results import Screening


def report_of(screening: Screening) -> Dataset:
    """The report as a receiver reads it."""
    report = build_report(screening, [build_capture(screening, at=AT)], at=AT)
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


def test_text_in_a_wrong_vr_gets_that_of_its_keyword_and_two_names_stay_two() -> None:
    headers = make_ct_headers()
    for header in headers:
        header["PatientID"] = DataElement("PatientID", "UT", "P1")
        header["PatientName"] = DataElement("PatientName", "PN", ["A^B", "C^D"])

    report = report_of(make_screening(headers))

    assert (report["PatientID"].VR, report.PatientID) == ("LO", "P1")
    assert [str(name) for name in report.PatientName] == ["A^B", "C^D"]
