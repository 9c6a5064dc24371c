"""Covered: age, size and weight in the forms that headers have, and values without use."""

from datetime import date

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from common.dicom.patient_values import age_on, parse_age_years, parse_date, read_patient_values


def header(**values: str) -> Dataset:
    """Return a header with these bytes, as a file has them."""
    ds = Dataset()
    for keyword, text in values.items():
        tag, value = Tag(keyword), text.encode()
        vr = dictionary_VR(keyword)
        ds[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return ds


@pytest.mark.parametrize(
    "text",
    [
        "20110505", "2011.05.05", "2011-05-05", "2011/05/05", "2011.5.5", " 20110505 ",
        "20110505\0", "20110505120000", "20110505120000.123+0100", "2011-05-05T12:00:00Z",
    ],
)  # fmt: skip
def test_dates_are_read(text: str) -> None:
    assert parse_date(text) == date(2011, 5, 5)


@pytest.mark.parametrize(
    "text",
    [
        "", "00000000", "99999999", "20110231", "20111301", "201105", "2011", "11.05.05",
        "05.05.2011", "2011.05-05", "2011 0505", "20110505x", "XXXXXXXX", "20110505-20120505",
        "２０１１０５０５", "['20110505', '20110506']",
    ],
)  # fmt: skip
def test_other_dates_are_not_guessed(text: str) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("012Y", 12), ("012", 12), ("012 ", 12), ("0012", 12), ("12", 12), ("12Y", 12),
        ("012y", 12), (" 12 Y", 12), ("012Y\0", 12), ("12 years", 12), ("144M", 12),
        ("12 months", 1), ("626W", 12), ("100D", 0.27), ("000Y", 0), ("12.5", 12.5),
        ("120", 120), ("012J", 12), ("12 Jahre", 12), ("012A", 12), ("12 anni", 12),
        ("12 Monate", 1),
    ],
)  # fmt: skip
def test_ages_are_read(text: str, years: float) -> None:
    assert parse_age_years(text) == pytest.approx(years, abs=0.01)


@pytest.mark.parametrize(
    "text", ["", "Y012", "-12", "+12", "999Y", "144", "1234", "12X", "twelve", "12-13", "1e1"]
)
def test_other_ages_are_not_guessed(text: str) -> None:
    assert parse_age_years(text) is None


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("2011", 9), ("201105", 9), ("20110000", 9), ("05.05.2011", 9), ("05/05/2011", 9),
        ("05MAY2011", 9), ("1950", 70), ("20300000", None), ("20051950", None), ("XXXX", None),
        ("20110000-20120000", None), ("00000000", None), ("110505", None),
    ],
)  # fmt: skip
def test_year_of_other_dates_limits_the_age(text: str, most: float | None) -> None:
    ds = header(PatientBirthDate=text, StudyDate="20200601")

    values = read_patient_values(ds)
    assert values.most_years == most
    assert values.age_years is None
    assert values.unusable == ("PatientBirthDate",)


def test_age_changes_on_the_birthday() -> None:
    born = date(2005, 6, 1)
    before, on = age_on(date(2023, 5, 31), born), age_on(date(2023, 6, 1), born)

    assert before is not None
    assert 17.99 < before < 18
    assert on == 18
    assert age_on(date(2005, 5, 31), born) is None
    assert age_on(date(2126, 6, 1), born) is None


@pytest.mark.parametrize("keyword", ["SeriesDate", "AcquisitionDate", "ContentDate"])
@pytest.mark.parametrize("study_date", ["", "00000000"])
def test_another_date_of_the_examination_replaces_that_of_the_study(
    keyword: str, study_date: str
) -> None:
    ds = header(PatientBirthDate="19500601", StudyDate=study_date, **{keyword: "20200601"})

    values = read_patient_values(ds)
    assert values.age_years == pytest.approx(70, abs=0.01)
    assert values.unusable == ()


@pytest.mark.parametrize(
    ("values", "unusable"),
    [
        ({}, ()),
        ({"PatientAge": "", "PatientSize": "", "PatientWeight": "", "PatientSex": ""}, ()),
        ({"PatientSize": "0", "PatientWeight": "0.0"}, ()),
        ({"PatientSex": "O"}, ()),
        ({"PatientSex": "f"}, ()),
        ({"PatientSex": "female"}, ("PatientSex",)),
        ({"PatientAge": "old"}, ("PatientAge",)),
        ({"PatientSize": "165"}, ("PatientSize",)),
        ({"PatientSize": "1,65"}, ("PatientSize",)),
        ({"PatientSize": "nan"}, ("PatientSize",)),
        ({"PatientSize": "1.65\\1.70"}, ("PatientSize",)),
        ({"PatientWeight": "-60"}, ("PatientWeight",)),
        ({"PatientWeight": "60 kg"}, ("PatientWeight",)),
        ({"PatientWeight": "60000"}, ("PatientWeight",)),
        ({"PatientBirthDate": "19500231", "StudyDate": "20200601"}, ("PatientBirthDate",)),
        ({"PatientBirthDate": "00000000"}, ("PatientBirthDate",)),
        ({"PatientBirthDate": "20210601", "StudyDate": "20200601"}, ("PatientBirthDate",)),
        ({"PatientBirthDate": "18500601", "StudyDate": "20200601"}, ("PatientBirthDate",)),
        ({"PatientBirthDate": "19500601"}, ()),
        ({"PatientBirthDate": "19500601", "StudyDate": "00000000"}, ("StudyDate",)),
        ({"PatientAge": "070Y", "StudyDate": "00000000"}, ()),
    ],
)
def test_values_that_are_there_and_cannot_be_used_are_named(
    values: dict[str, str], unusable: tuple[str, ...]
) -> None:
    assert read_patient_values(header(**values)).unusable == unusable


@pytest.mark.parametrize(
    ("age", "contradict"), [("069Y", False), ("072Y", False), ("067Y", True), ("073Y", True)]
)
def test_age_and_dates_that_differ_by_years_contradict(age: str, contradict: bool) -> None:
    ds = header(PatientAge=age, PatientBirthDate="19500601", StudyDate="20200601")

    expected = ("PatientAge", "PatientBirthDate") if contradict else ()
    assert read_patient_values(ds).unusable == expected
