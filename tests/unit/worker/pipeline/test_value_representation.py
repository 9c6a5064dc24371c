"""Covered: values of each VR that are copied, changed in form, cut or left out."""

import pytest

from worker.pipeline.value_representation import MAX_VALUES, valid_value


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "copied"),
    [
        ("StudyDate", "DA", "20260402", "20260402"),
        ("StudyDate", "DA", "2026.04.02", "20260402"),
        ("StudyDate", "DA", "20260231", None),
        ("StudyTime", "TM", "10", "10"),
        ("StudyTime", "TM", "101530.123456", "101530.123456"),
        ("StudyTime", "TM", "10:15:30", "101530"),
        ("StudyTime", "TM", "1015301", None),
        ("StudyTime", "TM", "24", None),
        ("ContextGroupVersion", "DT", "20260402101530.5+0100", "20260402101530.5+0100"),
        ("ContextGroupVersion", "DT", "2026-04-02", None),
        ("PatientAge", "AS", "065Y", "065Y"),
        ("PatientAge", "AS", "65Y", None),
        ("PatientSize", "DS", "1.65", "1.65"),
        ("PatientSize", "DS", "1.6500000000000001", None),
        ("PatientSize", "DS", "nan", None),
        ("SeriesNumber", "IS", "-7", "-7"),
        ("SeriesNumber", "IS", "7.0", None),
        ("PatientSex", "CS", "F ", "F"),
        ("PatientSex", "CS", "female", None),
        ("ContextUID", "UI", "1.2.840", "1.2.840"),
        ("ContextUID", "UI", "1.02.840", None),
        ("PatientID", "LO", "P" * 65, "P" * 64),
        ("PatientID", "LO", "P\x00\x1b1\n", "P1"),
        ("PatientID", "LO", ["P1", "P2"], None),
        ("StudyID", "SH", "学" * 17, "学" * 16),
        ("CodeValue", "SH", "C" * 17, None),
        ("CodeValue", "SH", "C" * 16, "C" * 16),
        ("LossyImageCompressionRatio", "DS", ["8", "2.5"], ["8", "2.5"]),
        ("LossyImageCompressionRatio", "DS", ["8", "x"], None),
        ("LossyImageCompressionRatio", "DS", ["8"] * (MAX_VALUES + 1), None),
        ("PixelData", "OB", b"bytes", None),
        ("Rows", "US", 512, 512),
        ("PatientName", "PN", "A" * 70 + "^B=C^D", "A" * 64 + "=C^D"),
        ("PatientName", "PN", "A^B^C^D^E^F=G=H=I", "A^B^C^D^E=G=H"),
        ("PatientName", "PN", "=山田^太郎", "=山田^太郎"),
    ],
)
def test_value_is_copied_as_far_as_its_vr_allows(
    keyword: str, vr: str, value: object, copied: object
) -> None:
    assert valid_value(keyword, vr, value) == copied
