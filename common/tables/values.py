"""Single values as hospitals write them."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from common.dicom.patient_values import parse_age_years, parse_date
from common.tables.errors import UnreadableValue
from common.tables.vocabulary import (
    AGE_UNITS,
    MISSING,
    MONTHS,
    SEXES,
    SIDES,
    SITE_WORDS,
    Sex,
    Side,
)

DateOrder = Literal["dmy", "mdy"]

# Programs write up to 17 digits, and small values as -3.2e-05.
_NUMBER = re.compile(
    r"([+-]?)\s*((?:\d{1,12}(?:[.,]\d{0,20})?|[.,]\d{1,20})(?:e[+-]\d{1,2})?)"
    r"\s*([^\d\s.,+-]*)"
)
_YEAR_LAST = re.compile(r"(\d{1,2})([-./])\s?(\d{1,2})\2\s?(\d{4})")
_MONTH_NAME = re.compile(r"(\d{1,2})[-. ]+([a-z]{3})[a-z]*[-., ]+(\d{4})")
_TIME = re.compile(r"[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?$")
_WHOLE = re.compile(r"(\d+)\.0+")
# A bare height from here on is in cm. People are 0.5 to 2.5 m tall, so no value is both.
CM_FROM = 50.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A value, and how it was converted where the text leaves a choice."""

    value: object
    note: str = ""


def normalize(text: str) -> str:
    """Return a text in one form of width, minus and case, without surrounding blanks."""
    plain = unicodedata.normalize("NFKC", text).strip()
    return plain.translate({0x2212: "-", 0x2013: "-", 0x2010: "-"}).casefold()


def is_missing(text: str) -> bool:
    """Return whether a text stands for no value."""
    return normalize(text) in MISSING


def read_identifier(text: str) -> Reading:
    """Return an ID; an integer that a spreadsheet wrote as ``1001.0`` loses its ``.0``."""
    plain = text.strip()
    whole = _WHOLE.fullmatch(plain)
    return Reading(whole[1], "read without .0") if whole else Reading(plain)


def read_number(text: str, *, units: Mapping[str, float] | None = None) -> Reading:
    """Return a number with a decimal point or comma.

    ``units`` : factor of each accepted unit. Raises UnreadableValue.
    """
    number, unit = _split_number(text)
    note = "decimal comma" if "," in text else ""
    if not unit:
        return Reading(number, note)
    if units is None or unit not in units:
        expected = f"a number in {', '.join(units)}" if units else "a number without a unit"
        raise UnreadableValue(f"expected {expected}")
    return Reading(number * units[unit], f"read as {unit}")


def read_height_m(text: str) -> Reading:
    """Return a height in m, of a text in m or cm."""
    reading = read_number(text, units={"m": 1.0, "cm": 0.01})
    value = reading.value
    if isinstance(value, float) and value >= CM_FROM:
        return Reading(value / 100, "read as cm")
    return reading


def read_weight_kg(text: str) -> Reading:
    """Return a weight in kg."""
    return read_number(text, units={"kg": 1.0})


def read_age(text: str) -> Reading:
    """Return an age in years, of a number or of a DICOM age as ``067Y``."""
    plain = normalize(text)
    for word, unit in AGE_UNITS.items():
        plain = plain.removesuffix(word) + unit if plain.endswith(word) else plain
    years = parse_age_years(plain)
    if years is None:
        raise UnreadableValue("expected years from 0 to 120, or a DICOM age as 067Y")
    return Reading(years, "" if _is_number(plain) else "read as an age with a unit")


def read_sex(text: str) -> Reading:
    """Return ``F`` or ``M``."""
    sex: Sex | None = SEXES.get(normalize(text).rstrip("."))
    if sex is None:
        raise UnreadableValue("expected F or M, or a word of the list in docs/training.md")
    return Reading(sex, "" if text.strip() == sex else f"read as {sex}")


def read_side(text: str) -> Reading:
    """Return ``L`` or ``R``, of a side alone or with the word of a hip."""
    words = [word.strip(".") for word in re.split(r"[\s,;/()_-]+", normalize(text)) if word]
    sides: set[Side] = {SIDES[word] for word in words if word in SIDES}
    if len(sides) != 1 or not all(word in SIDES or word in SITE_WORDS for word in words):
        raise UnreadableValue("expected L or R; leave it empty where the result is of no side")
    (side,) = sides
    return Reading(side, "" if text.strip() == side else f"read as {side}")


def read_date(text: str, order: DateOrder | None) -> Reading:
    """Return a date. ``order`` : of day and month in dates that end with the year.

    With dots the day is first (DIN 1355-1 and its like; no country writes month.day.year).
    """
    plain = _TIME.sub("", text.strip()).strip()
    whole = _WHOLE.fullmatch(plain)
    plain = whole[1] if whole else plain
    day = parse_date(re.sub(r"\s", "", plain).rstrip("."))
    if day is not None:
        return Reading(day)
    if match := _YEAR_LAST.fullmatch(plain):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        known = "dmy" if match[2] == "." else order
        if known is None:
            raise UnreadableValue(
                "day and month may be exchanged; write 2023-02-10, or state date_order"
            )
        return Reading(_date(year, *((second, first) if known == "dmy" else (first, second))))
    if (match := _MONTH_NAME.fullmatch(normalize(plain))) and match[2] in MONTHS:
        return Reading(_date(int(match[3]), MONTHS[match[2]], int(match[1])))
    raise UnreadableValue("expected a date as 2023-02-10, 20230210 or 10.02.2023")


def date_order(texts: Iterable[str]) -> DateOrder | None:
    """Return the order of day and month that all dates of a column have, None where open.

    Raises UnreadableValue where the dates have both orders.
    """
    orders: set[DateOrder] = set()
    for text in texts:
        match = _YEAR_LAST.fullmatch(_TIME.sub("", text.strip()).strip())
        if match is None or match[2] == ".":
            continue
        if int(match[1]) > 12:
            orders.add("dmy")
        elif int(match[3]) > 12:
            orders.add("mdy")
    if len(orders) > 1:
        raise UnreadableValue("some dates have the day first, others the month")
    return orders.pop() if orders else None


def ambiguous_sexes(texts: Iterable[str]) -> bool:
    """Return whether a column has both H and M: hombre and mujer, so M is not male."""
    return {"h", "m"} <= {normalize(text).rstrip(".") for text in texts}


def _split_number(text: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(normalize(text))
    if match is None:
        raise UnreadableValue("expected a number as -2.5 or -2,5")
    number = float(match[1] + match[2].replace(",", "."))
    if not math.isfinite(number):
        raise UnreadableValue("expected a finite number")
    return number, match[3]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(?:[.,]\d+)?", text) is not None


def _date(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise UnreadableValue("there is no such day") from None
