"""Age, size and weight of a patient in a header, in the forms that scanners and archives write.

The values reach us as text: ACR-NEMA dates, ages without a unit and centimeters break PS3.5 6.2
or PS3.3 C.7.2.2. The record of a series and the pipeline read a header alike.
"""

import math
import re
import warnings
from dataclasses import dataclass
from datetime import date

from pydicom import Dataset

MAX_AGE_YEARS = 120.0
# The range of adults. It excludes sizes in cm and weights in g.
HEIGHT_RANGE_M = (1.2, 2.3)
WEIGHT_RANGE_KG = (25.0, 350.0)
# A stated age is rounded, may count from conception or the year of birth (up to 2 years more),
# and may be that of the request.
MAX_DIFFERENCE_YEARS = 2.5
DAYS_PER_YEAR = 365.25
PER_YEAR = {"D": DAYS_PER_YEAR, "W": DAYS_PER_YEAR / 7, "M": 12.0, "Y": 1.0, "J": 1.0, "A": 1.0}
# PS3.3 C.7.1.1, and the codes of HL7 (table 0001) for an unknown sex.
SEXES = ("", "F", "M", "O", "U", "A", "N")
MAX_TEXT = 64

# The date of the examination: the first that can be read.
STUDY_DATES = (
    "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime",
)  # fmt: skip

# PS3.5 6.2: DA, the form of ACR-NEMA with dots, ISO 8601; a time may follow.
_DATE = re.compile(
    r"(\d{4})(?:(\d{2})(\d{2})|([-./])(\d{1,2})\4(\d{1,2}))"
    r"(?:[T ]?\d{2}:?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
# PS3.5 6.2, AS: three digits and D, W, M or Y; without a unit years are meant.
_AGE = re.compile(
    r"(\d{1,4}(?:\.\d{1,2})?)\s*"
    r"(?:(D)(?:AYS?)?|(W)(?:KS?|EEKS?)?|(M)(?:OS?|ONTHS?|ONATE?)?|(Y)(?:RS?|EARS?)?"
    r"|(J)(?:AHRE?)?|(A)(?:NS|NNI)?)?",
    re.ASCII | re.IGNORECASE,
)
# The year in a date that cannot be read: alone, with a month, with zeros, at the end.
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d{2})(?:(?:0\d|1[0-2])(?:[0-3]\d)?)?(?!\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class PatientValues:
    """Values of a header, None where one is absent or cannot be used.

    ``most_years`` : highest age that the year of a birth date that cannot be read allows.
    ``unusable`` : keywords of the attributes that are present but cannot be read, are out of
    range, or contradict each other.
    """

    stated_age_years: float | None
    age_by_dates_years: float | None
    height_m: float | None
    weight_kg: float | None
    unusable: tuple[str, ...]
    most_years: float | None = None

    @property
    def age_years(self) -> float | None:
        """PatientAge, otherwise the age by the dates."""
        stated = self.stated_age_years
        return self.age_by_dates_years if stated is None else stated


def read_patient_values(ds: Dataset) -> PatientValues:
    """Read a header. Never raises for a malformed value."""
    stated = parse_age_years(stated_text(ds, "PatientAge"))
    born = parse_date(stated_text(ds, "PatientBirthDate"))
    studied = examination_date(ds)
    by_dates = None if born is None or studied is None else age_on(studied, born)
    height_m = _number_within(ds, "PatientSize", HEIGHT_RANGE_M)
    weight_kg = _number_within(ds, "PatientWeight", WEIGHT_RANGE_KG)
    unusable = {
        "PatientSex": stated_text(ds, "PatientSex").upper() not in SEXES,
        "PatientAge": stated is None and bool(stated_text(ds, "PatientAge")),
        "PatientBirthDate": by_dates is None and bool(stated_text(ds, "PatientBirthDate")),
        "PatientSize": height_m is None and _is_number_stated(ds, "PatientSize"),
        "PatientWeight": weight_kg is None and _is_number_stated(ds, "PatientWeight"),
    }
    if born is not None and studied is None:
        # Only the date of the examination is missing; it is a fault where one is stated.
        unusable["PatientBirthDate"] = False
        unusable["StudyDate"] = stated is None and bool(stated_text(ds, "StudyDate"))
    if stated is not None and by_dates is not None:
        contradict = abs(stated - by_dates) > MAX_DIFFERENCE_YEARS
        unusable["PatientAge"] = unusable["PatientBirthDate"] = contradict
    keywords = tuple(keyword for keyword, fault in unusable.items() if fault)
    most = (
        None if born is not None else most_years(studied, stated_text(ds, "PatientBirthDate"))
    )
    return PatientValues(stated, by_dates, height_m, weight_kg, keywords, most)


def examination_date(ds: Dataset) -> date | None:
    """Return the first of ``STUDY_DATES`` that can be read."""
    dates = (parse_date(stated_text(ds, keyword)) for keyword in STUDY_DATES)
    return next((day for day in dates if day is not None), None)


def parse_date(text: str) -> date | None:
    """Return the date that a text states, None where it states none."""
    match = _DATE.fullmatch(text.strip(" \0"))
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2] or match[5]), int(match[3] or match[6]))
    except ValueError:
        return None


def parse_age_years(text: str) -> float | None:
    """Return the age that a text states, None where it states none or an impossible one."""
    match = _AGE.fullmatch(text.strip(" \0").replace(",", "."))
    if match is None:
        return None
    unit = next((each for each in match.groups()[1:] if each), "Y").upper()
    years = float(match[1]) / PER_YEAR[unit]
    return years if years <= MAX_AGE_YEARS else None


def stated_text(ds: Dataset, keyword: str) -> str:
    """Return the value of an element as text, also where its VR does not allow the value.

    ``""`` where the element is absent or empty.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings contain header values
            value = ds.get(keyword)
    except Exception:  # a malformed value makes the parser raise whatever it likes
        value = getattr(ds.get_item(keyword), "value", None)
    if isinstance(value, bytes):
        value = value[:MAX_TEXT].decode("latin-1")
    return "" if value is None else str(value)[:MAX_TEXT].strip(" \0")


def age_on(day: date, born: date) -> float | None:
    """Return the age in years, whole on birthdays; None where it is impossible."""
    birthdays = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    years = (day - born).days / DAYS_PER_YEAR
    years = min(max(years, birthdays), birthdays + 1 - 1 / 366)
    return years if 0 <= years <= MAX_AGE_YEARS else None


def most_years(day: date | None, birth_date: str) -> float | None:
    """Return the highest age on a day that the one year in a text allows, None without one."""
    years = set(_YEAR.findall(birth_date))
    if day is None or len(years) != 1:
        return None
    most = float(day.year - int(years.pop()))
    return most if 0 <= most <= MAX_AGE_YEARS else None


def _number_within(ds: Dataset, keyword: str, limits: tuple[float, float]) -> float | None:
    value = _number(ds, keyword)
    return value if value is not None and limits[0] <= value <= limits[1] else None


def _is_number_stated(ds: Dataset, keyword: str) -> bool:
    """Return whether there is a value; scanners write 0 where none was entered."""
    return bool(stated_text(ds, keyword)) and _number(ds, keyword) != 0


def _number(ds: Dataset, keyword: str) -> float | None:
    try:
        value = float(stated_text(ds, keyword))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
