"""Values of a source that may be copied: those that their VR allows (PS3.5 6.2).

Values of a form (dates, numbers, code strings, UIDs) that break it are not copied. Text is cut
to the length of its VR, so that the size of our objects does not depend on the source.
"""

import re
import unicodedata

from pydicom.datadict import dictionary_VM
from pydicom.multival import MultiValue

from common.dicom.patient_values import parse_date

MAX_VALUES = 16
MAX_ITEMS = 16
# Characters; of PN in each component group. UT, UC and UR have no limit of their own.
MAX_CHARACTERS = {
    "SH": 16, "LO": 64, "PN": 64, "ST": 1024, "LT": 10240, "UT": 1024, "UC": 1024, "UR": 1024,
}  # fmt: skip
# Part of a code would be another code.
NEVER_CUT = ("CodeValue", "LongCodeValue", "URNCodeValue", "CodingSchemeDesignator")
MULTI_LINE = ("ST", "LT", "UT")
NAME_GROUPS, NAME_COMPONENTS = 3, 5  # PS3.5 6.2.1
BINARY_NUMBERS = ("US", "SS", "UL", "SL", "FL", "FD")

_TIME = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?"
_DAY = r"(?:0[1-9]|1[0-2])(?:(?:0[1-9]|[12]\d|3[01])"
FORMS = {
    "AS": re.compile(r"\d{3}[DWMY]", re.ASCII),
    "CS": re.compile(r"[A-Z0-9_ ]{1,16}"),
    "DS": re.compile(r"(?=.{1,16}$)[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII),
    "DT": re.compile(rf"\d{{4}}(?:{_DAY}(?:{_TIME})?)?)?(?:[+-]\d{{4}})?", re.ASCII),
    "IS": re.compile(r"[+-]?\d{1,9}", re.ASCII),
    "TM": re.compile(_TIME, re.ASCII),
    "UI": re.compile(r"(?=.{1,64}$)(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+", re.ASCII),
}


def valid_value(keyword: str, vr: str, value: object) -> object | None:
    """Return what may be copied of a value, None where nothing may be.

    Several values are copied where the element may hold several (its VM).
    """
    if not isinstance(value, (MultiValue, list, tuple)):
        return _single(keyword, vr, value)
    if dictionary_VM(keyword) == "1" or len(value) > MAX_VALUES:
        return None
    values = [_single(keyword, vr, one) for one in value]
    return values if values and None not in values else None


def _single(keyword: str, vr: str, value: object) -> object | None:
    if vr in BINARY_NUMBERS:
        return value if isinstance(value, (int, float)) else None
    if vr == "DA":
        return _da(str(value)[:64])
    if vr in FORMS:
        text = str(value)[:128].strip(" \0")
        text = text.replace(":", "") if vr == "TM" else text  # ACR-NEMA: 10:15:30
        return text if FORMS[vr].fullmatch(text) else None
    if vr not in MAX_CHARACTERS or isinstance(value, bytes):
        return None
    cut = _cut_name(str(value)) if vr == "PN" else _cut(str(value), vr)
    if keyword in NEVER_CUT and cut != str(value).strip():
        return None
    return cut or None


def _da(text: str) -> str | None:
    day = parse_date(text)
    return None if day is None else day.isoformat().replace("-", "")


def _cut(text: str, vr: str) -> str:
    """Return text without control characters, cut to the length of its VR."""
    # The margin is for control characters, which are left out before the text is cut.
    start = text[: 2 * MAX_CHARACTERS[vr]]
    allowed = "\t\n\f\r" if vr in MULTI_LINE else ""
    kept = (c for c in start if c in allowed or unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(kept).strip()[: MAX_CHARACTERS[vr]].rstrip()


def _cut_name(text: str) -> str:
    """Cut each component group of a name, and the numbers of groups and components."""
    groups = text[:4096].split("=")[:NAME_GROUPS]
    parts = ("^".join(group.split("^")[:NAME_COMPONENTS]) for group in groups)
    return "=".join(_cut(part, "PN") for part in parts).rstrip("=")
