"""Reasons against grading, and the results of the rules that give them."""

from dataclasses import dataclass
from enum import StrEnum


class ReasonCode(StrEnum):
    """Reason for which a series is rejected or a hip is not assessable."""

    NOT_CT = "NOT_CT"
    """Not a CT image of the body."""
    LOCALIZER = "LOCALIZER"
    """A scout image, dose report or other non-volume."""
    TOO_FEW_SLICES = "TOO_FEW_SLICES"
    """Fewer than 10 slices."""
    GAPS = "GAPS"
    """Slices missing or spaced unevenly."""
    ORIENTATION = "ORIENTATION"
    """Sagittal, oblique by more than 20°, or gantry tilt."""
    TOO_YOUNG = "TOO_YOUNG"
    """Patient under the minimum age (``MIN_AGE``, 18 years)."""
    OPTED_OUT = "OPTED_OUT"
    """Patient on the opt-out list of the site."""
    METAL = "METAL"
    """Prosthesis, nail or screws at the hip."""
    NO_FEMUR = "NO_FEMUR"
    """No proximal femur, or not enough of it, in the field of view."""
    MIXED = "MIXED"
    """More than one patient, study, orientation, frame of reference or acquisition."""
    UNDECODABLE = "UNDECODABLE"
    """Pixel data that cannot be decoded to HU."""
    OUT_OF_DISTRIBUTION = "OUT_OF_DISTRIBUTION"
    """A crop unlike anything the model was trained on."""
    NO_MODEL = "NO_MODEL"
    """No model is installed (``MODEL_DIR=none``): the hip is measured and not graded."""
    EXCLUDED = "EXCLUDED"
    """Outside of the site's rules for series (``SERIES_RULES``)."""
    NOT_SELECTED = "NOT_SELECTED"
    """Another series of the study was preferred."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason code with a sentence for the reader, free of patient data."""

    code: ReasonCode
    text: str


RuleResult = Reason | str
"""A ``Reason`` where the rule fails; where it passes, a sentence with what it measured."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one rule, free of patient data.

    ``code`` : None where the rule passed; otherwise ``text`` is that of the ``Reason``.
    """

    rule: str
    text: str
    code: ReasonCode | None = None
