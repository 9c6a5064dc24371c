"""Rules of a site for the series that may be screened (setting ``SERIES_RULES``).

A JSON list, for example
``[{"exclude": {"description": "lung|thorax"}}, {"include": {"station": "^CT0[12]$"}}]``.
A rule matches a series that has all its properties. A series is excluded where an exclude rule
matches it, and where there are include rules of which none matches it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from common.dicom.patient_values import stated_text
from common.dicom.patterns import compile_pattern, matches

KEYWORDS: Mapping[str, str] = {
    "description": "SeriesDescription",
    "protocol": "ProtocolName",
    "station": "StationName",
    "kernel": "ConvolutionKernel",
    "body_part": "BodyPartExamined",
}
MIN_THICKNESS, MAX_THICKNESS = "min_thickness_mm", "max_thickness_mm"
USES = ("include", "exclude")
MAX_RULES = 100


@dataclass(frozen=True, slots=True)
class SeriesProperties:
    """The values of a series that rules may refer to, ``""`` and None where not stated.

    ``texts`` : by the keys of ``KEYWORDS``.
    """

    texts: Mapping[str, str]
    thickness_mm: float | None = None


@dataclass(frozen=True, slots=True)
class SeriesRule:
    """One rule: patterns by the keys of ``KEYWORDS``, and a range of the slice thickness."""

    excludes: bool
    patterns: Mapping[str, re.Pattern[str]]
    min_thickness_mm: float | None = None
    max_thickness_mm: float | None = None

    def matches(self, series: SeriesProperties) -> bool:
        """Return whether the series has all properties; one that is not stated never has."""
        texts = (
            matches(pattern, text) if (text := series.texts.get(name, "")) else False
            for name, pattern in self.patterns.items()
        )
        return all(texts) and self._has_thickness(series.thickness_mm)

    def _has_thickness(self, found: float | None) -> bool:
        low, high = self.min_thickness_mm, self.max_thickness_mm
        if low is None and high is None:
            return True
        return (
            found is not None
            and (low is None or found >= low)
            and (high is None or found <= high)
        )


SeriesRules = tuple[SeriesRule, ...]


def excluded_by(rules: SeriesRules, series: SeriesProperties) -> str | None:
    """Return which rule excludes a series, by its number; None where it may be screened."""
    for number, rule in enumerate(rules, 1):
        if rule.excludes and rule.matches(series):
            return f"rule {number} excludes it"
    including = [rule for rule in rules if not rule.excludes]
    if including and not any(rule.matches(series) for rule in including):
        return "no rule includes it"
    return None


def properties_of(ds: Dataset, thickness_mm: float | None) -> SeriesProperties:
    """Return the properties of a series from one of its headers."""
    texts = {name: _text_of(ds, keyword) for name, keyword in KEYWORDS.items()}
    return SeriesProperties(texts, thickness_mm)


def _text_of(ds: Dataset, keyword: str) -> str:
    """Return a value as text, several with the delimiter of PS3.5 6.4 between them."""
    try:
        value = ds.get(keyword)
    except Exception:  # a malformed value makes the parser raise whatever it likes
        return ""
    if isinstance(value, MultiValue):
        return "\\".join(map(str, value))
    return stated_text(ds, keyword)


def read_rules(value: object) -> SeriesRules:
    """Read the rules of a parsed JSON list; raise ValueError that names entry and problem."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ValueError("must be a JSON list")
    if len(value) > MAX_RULES:
        raise ValueError(f"has {len(value)} rules, at most {MAX_RULES} are allowed")
    return tuple(
        entry if isinstance(entry, SeriesRule) else _within(f"rule {number}", _read_rule, entry)
        for number, entry in enumerate(value, 1)
    )


def _read_rule(entry: object) -> SeriesRule:
    if not isinstance(entry, Mapping) or len(entry) != 1 or next(iter(entry)) not in USES:
        raise ValueError('must be {"include": {…}} or {"exclude": {…}}')
    use, properties = next(iter(entry.items()))
    allowed = (*KEYWORDS, MIN_THICKNESS, MAX_THICKNESS)
    if not isinstance(properties, Mapping) or not properties:
        raise ValueError(f"{use} must name at least one of {', '.join(allowed)}")
    if unknown := [str(name) for name in properties if name not in allowed]:
        raise ValueError(f"unknown property {unknown[0]}, known are {', '.join(allowed)}")
    low, high = (_within(name, _read_mm, properties.get(name)) for name in allowed[-2:])
    if low is not None and high is not None and low > high:
        raise ValueError(f"{MIN_THICKNESS} is over {MAX_THICKNESS}")
    patterns = {
        name: _within(name, _read_pattern, properties[name])
        for name in KEYWORDS
        if name in properties
    }
    return SeriesRule(use == "exclude", patterns, low, high)


def _read_pattern(value: object) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise ValueError("must be a regular expression in quotes")
    return compile_pattern(value)


def _read_mm(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError("must be a number of 0 to 100 mm")
    return float(value)


def _within(where: str, read: Callable[[Any], Any], value: object) -> Any:
    """Return ``read(value)``, whose ValueError gets the place in front."""
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
