"""Covered: what a header says of its patient, and the numbers that a model sees."""

import numpy as np
import pytest
from pydicom import Dataset

from worker.pipeline.demographics import Demographics, demographics_of

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
        {"PatientSize": "165"},  # centimetres
        {"PatientWeight": "0"},
        {"PatientSex": "", "PatientAge": "", "PatientSize": "", "PatientWeight": ""},
    ],
)
def test_what_is_missing_or_cannot_be_is_not_known(elements: dict[str, str]) -> None:
    assert demographics_of(header(**elements)) == Demographics()


def test_vector_holds_scaled_values_and_what_is_known() -> None:
    np.testing.assert_allclose(
        WOMAN.vector(), [1, 1, 0, 0, (60 / 1.6**2 - 24) / 4, 1, 1, 1, 1, 1], atol=1e-6
    )
    np.testing.assert_array_equal(Demographics().vector(), np.zeros(10))
    partly = Demographics("M", None, 1.7, None).vector()
    np.testing.assert_allclose(partly, [-1, 0, 1, 0, 0, 1, 0, 1, 0, 0], atol=1e-6)
