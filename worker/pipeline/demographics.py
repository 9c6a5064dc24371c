"""Age, sex, height and weight of a patient, as far as they are known."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from worker.pipeline import geometry

Sex = Literal["F", "M"]

# What is subtracted from and divided into each value: about the mean and SD of adults.
CENTER = np.array([0.0, 60.0, 1.6, 60.0, 24.0], np.float32)
SCALE = np.array([1.0, 20.0, 0.1, 12.0, 4.0], np.float32)
VALUES = len(CENTER)


@dataclass(frozen=True, slots=True)
class Demographics:
    """What a model may know of the patient beside the picture; None where it is not known."""

    sex: Sex | None = None
    age: float | None = None
    height_m: float | None = None
    weight_kg: float | None = None

    @property
    def bmi(self) -> float | None:
        """kg/m², None where height or weight is missing."""
        if self.height_m is None or self.weight_kg is None:
            return None
        return self.weight_kg / self.height_m**2

    @property
    def is_complete(self) -> bool:
        """Nothing is missing."""
        return None not in (self.sex, self.age, self.height_m, self.weight_kg)

    def vector(self) -> npt.NDArray[np.float32]:
        """(10,) sex (1 woman, −1 man), age, height, weight, BMI, scaled, 0 where it is missing;
        then 1 for each that is known."""
        sex = None if self.sex is None else {"F": 1.0, "M": -1.0}[self.sex]
        values = (sex, self.age, self.height_m, self.weight_kg, self.bmi)
        known = np.array([value is not None for value in values], np.float32)
        numbers = np.array([0.0 if value is None else value for value in values], np.float32)
        return np.concatenate([(numbers - CENTER) / SCALE * known, known])


def demographics_of(ds: Dataset) -> Demographics:
    """What a header says of its patient; values that cannot be an adult's are not known."""
    sex = geometry.text_of(ds, "PatientSex").upper()
    stated = stated_age_years(ds)
    age = age_by_dates_years(ds) if stated is None else stated
    return Demographics(
        sex="F" if sex == "F" else "M" if sex == "M" else None,
        age=_within(age, 18.0, 120.0),
        # Metres (PS3.3 C.7.2.2); some scanners write centimetres, and then it is not known.
        height_m=_within(geometry.number_of(ds, "PatientSize"), 1.2, 2.3),
        weight_kg=_within(geometry.number_of(ds, "PatientWeight"), 25.0, 350.0),
    )


def _within(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and low <= value <= high else None


def stated_age_years(ds: Dataset) -> float | None:
    """PatientAge, PS3.5 6.2 VR AS: three digits and D, W, M or Y."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", geometry.text_of(ds, "PatientAge").upper())
    if match is None:
        return None
    return int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[match[2]]


def age_by_dates_years(ds: Dataset) -> float | None:
    """From birth to the study."""
    born = geometry.date_of(ds, "PatientBirthDate")
    studied = geometry.date_of(ds, "StudyDate")
    if born is None or studied is None or studied < born:
        return None
    return (studied - born).days / 365.25
