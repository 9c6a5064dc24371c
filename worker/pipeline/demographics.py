"""Age, sex, height and weight of a patient, where known."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from common.dicom.patient_values import read_patient_values
from worker.pipeline import header_values

Sex = Literal["F", "M"]

# Sex, age, height, weight, BMI: (value − CENTER) / SCALE, about the mean and SD of adults.
CENTER = np.array([0.0, 60.0, 1.6, 60.0, 24.0], np.float32)
SCALE = np.array([1.0, 20.0, 0.1, 12.0, 4.0], np.float32)
VALUES = len(CENTER)

MIN_AGE_YEARS = 18
WHO_FROM_YEARS = 50
"""ISCD 2005 (J Clin Densitom 9:22–30): the WHO categories apply to postmenopausal women and to
men from 50 years; Z-scores are preferred otherwise."""
AGE_ATTRIBUTES = frozenset({"PatientAge", "PatientBirthDate", "StudyDate"})


@dataclass(frozen=True, slots=True)
class Demographics:
    """Inputs of a model beside the crop; None where the value is not known."""

    sex: Sex | None = None
    age: float | None = None
    height_m: float | None = None
    weight_kg: float | None = None

    @property
    def bmi(self) -> float | None:
        """Body mass index in kg/m², None where height or weight is missing."""
        if self.height_m is None or self.weight_kg is None:
            return None
        return self.weight_kg / self.height_m**2

    @property
    def is_complete(self) -> bool:
        """Whether no value is missing."""
        return None not in (self.sex, self.age, self.height_m, self.weight_kg)

    def vector(self) -> npt.NDArray[np.float32]:
        """Return the (10,) input of a network.

        Sex (1 woman, −1 man), age, height, weight and BMI, scaled, 0 where missing; then 1 for
        each of them that is known.
        """
        sex = None if self.sex is None else {"F": 1.0, "M": -1.0}[self.sex]
        values = (sex, self.age, self.height_m, self.weight_kg, self.bmi)
        known = np.array([value is not None for value in values], np.float32)
        numbers = np.array([0.0 if value is None else value for value in values], np.float32)
        return np.concatenate([(numbers - CENTER) / SCALE * known, known])


def demographics_of(ds: Dataset) -> Demographics:
    """Read a header; values that cannot be used or are not those of an adult are not known.

    The age is not known either where only one of the attributes that state it can be used.
    """
    values = read_patient_values(ds)
    sex = header_values.text_of(ds, "PatientSex").upper()
    age = None if AGE_ATTRIBUTES.intersection(values.unusable) else values.age_years
    return Demographics(
        sex="F" if sex == "F" else "M" if sex == "M" else None,
        age=age if age is not None and age >= MIN_AGE_YEARS else None,
        height_m=values.height_m,
        weight_kg=values.weight_kg,
    )


def ages_by_attribute(ds: Dataset) -> dict[str, float]:
    """Return the ages in years that can be read, by the attribute that gives each.

    Of a birth date of which only the year can be read, the highest possible age.
    """
    values = read_patient_values(ds)
    by_dates = values.age_by_dates_years
    ages = {
        "PatientAge": values.stated_age_years,
        "PatientBirthDate": values.most_years if by_dates is None else by_dates,
    }
    return {keyword: age for keyword, age in ages.items() if age is not None}


def demographics_warning(ds: Dataset) -> str | None:
    """Name the attributes that cannot be used; without them the image model is used."""
    unusable = read_patient_values(ds).unusable
    if not unusable:
        return None
    names = " and ".join(filter(None, (", ".join(unusable[:-1]), unusable[-1])))
    return f"Demographics: {names} cannot be used. The image model was used."


def who_category_warning(ds: Dataset) -> str | None:
    """Return the caution for a patient under ``WHO_FROM_YEARS`` by any attribute."""
    if all(age >= WHO_FROM_YEARS for age in ages_by_attribute(ds).values()):
        return None
    return (
        f"WHO category: applies to postmenopausal women and to men from {WHO_FROM_YEARS} years "
        f"(ISCD). The patient is younger than {WHO_FROM_YEARS}."
    )
