"""Covered: demographics in headers, and the input vector of a model."""

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from worker.pipeline.demographics import (
    Demographics,
    demographics_of,
    demographics_warning,
    who_category_warning,
)

WOMAN = Demographics("F", 80.0, 1.6, 60.0)


def header(**elements: object) -> Dataset:
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def test_header_of_a_patient() -> None:
    ds = header(PatientSex="F", PatientAge="080Y", PatientSize="1.6", PatientWeight="60")

    assert demographics_of(ds) == WOMAN
    assert WOMAN.is_complete


def test_age_by_dates_where_it_is_not_stated() -> None:
    ds = header(PatientBirthDate="19500101", StudyDate="20200101")

    assert demographics_of(ds).age == pytest.approx(70, abs=0.01)


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"PatientSex": "O"},
        {"PatientAge": "010Y"},
        {"PatientSize": "165"},  # centimeters
        {"PatientWeight": "0"},
        {"PatientSex": "", "PatientAge": "", "PatientSize": "", "PatientWeight": ""},
    ],
)
def test_missing_and_impossible_values_are_not_known(elements: dict[str, str]) -> None:
    assert demographics_of(header(**elements)) == Demographics()


def test_vector_holds_scaled_values_and_which_are_known() -> None:
    np.testing.assert_allclose(
        WOMAN.vector(), [1, 1, 0, 0, (60 / 1.6**2 - 24) / 4, 1, 1, 1, 1, 1], atol=1e-6
    )
    np.testing.assert_array_equal(Demographics().vector(), np.zeros(10))
    partly = Demographics("M", None, 1.7, None).vector()
    np.testing.assert_allclose(partly, [-1, 0, 1, 0, 0, 1, 0, 1, 0, 0], atol=1e-6)


def test_age_is_not_known_where_one_of_its_attributes_cannot_be_used() -> None:
    """Otherwise the grade would rest on the one that happens to be readable."""
    ds = header(PatientSex="F", PatientAge="080Y", PatientSize="1.6", PatientWeight="60")
    value = b"1945.02.31"
    tag = Tag("PatientBirthDate")
    ds[tag] = RawDataElement(tag, "DA", len(value), value, 0, False, True)

    assert demographics_of(ds) == Demographics("F", None, 1.6, 60.0)
    assert demographics_warning(ds) == (
        "Demographics: PatientBirthDate cannot be used. The image model was used."
    )


@pytest.mark.parametrize(
    ("elements", "names"),
    [
        ({"PatientSize": "165"}, "PatientSize"),
        ({"PatientSize": "165", "PatientWeight": "-1"}, "PatientSize and PatientWeight"),
        (
            {"PatientSex": "X", "PatientSize": "165", "PatientWeight": "-1"},
            "PatientSex, PatientSize and PatientWeight",
        ),
    ],
)
def test_warning_names_the_attributes_and_not_their_values(
    elements: dict[str, str], names: str
) -> None:
    expected = f"Demographics: {names} cannot be used. The image model was used."
    assert demographics_warning(header(**elements)) == expected


def test_missing_values_are_no_warning() -> None:
    assert demographics_warning(header(PatientSize="", PatientWeight="0")) is None


@pytest.mark.parametrize(
    ("elements", "cautioned"),
    [
        ({"PatientAge": "049Y"}, True),
        ({"PatientAge": "050Y"}, False),
        ({"PatientBirthDate": "19800101", "StudyDate": "20200101"}, True),
        ({"PatientAge": "060Y", "PatientBirthDate": "19800101", "StudyDate": "20200101"}, True),
        ({}, False),
    ],
)
def test_under_fifty_the_who_categories_are_cautioned(
    elements: dict[str, str], cautioned: bool
) -> None:
    warning = who_category_warning(header(**elements))

    assert (warning is not None) is cautioned
    assert warning is None or "postmenopausal women and to men from 50 years" in warning
