"""Covered: injected faults that no validator finds and that our rules must find.

Those that validators and readers find are injected in ``integration/test_validators``.
"""

from collections.abc import Callable
from copy import deepcopy

import pytest
from pydicom import Dataset

from tests.support.report_cases import built
from tests.support.report_rules import violations
from tests.support.report_tree import groups, items, name, named, not_evaluated

Fault = Callable[[Dataset], object]


def item(sr: Dataset, code_value: str) -> Dataset:
    return named(sr, code_value)[0]


def drop(tree: Dataset, code_value: str) -> None:
    """Remove the first item of a concept from the tree."""
    for parent in (tree, *items(tree)):
        for child in parent.get("ContentSequence", ()):
            if name(child) == code_value:
                parent.ContentSequence.remove(child)
                return
    raise LookupError(code_value)


def recode(tree: Dataset, code_value: str, new: str) -> None:
    item(tree, code_value).ConceptCodeSequence[0].CodeValue = new


def number(tree: Dataset, code_value: str, new: str) -> None:
    item(tree, code_value).MeasuredValueSequence[0].NumericValue = new


def outline(sr: Dataset, *points: float) -> None:
    item(sr, "111030").GraphicData = list(points)


def share_tracking_uid(sr: Dataset) -> None:
    first, second = (item(group, "112040") for group in groups(sr)[:2])
    second.UID = first.UID


def drop_left(sr: Dataset) -> None:
    item(sr, "126010").ContentSequence = [
        one for one in item(sr, "126010").ContentSequence if one not in groups(sr)[2:]
    ]


def empty_comments(sr: Dataset) -> None:
    for comment in named(sr, "121106"):
        comment.TextValue = ""


def bogus_unit(sr: Dataset) -> None:
    measured = item(sr, "112181").MeasuredValueSequence[0]
    measured.MeasurementUnitsCodeSequence[0].CodeValue = "HUU"


def alter_meaning(sr: Dataset) -> None:
    item(sr, "121071").ConceptCodeSequence[0].CodeMeaning = "Distal Femur"


def alter_purpose(sr: Dataset) -> None:
    purpose = sr.ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0]
    purpose.CodeMeaning = "Reading Equipment"


def drop_capture(sr: Dataset) -> None:
    sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence.pop()


HIP, NECK = 0, 1  # the first two groups: of the right hip

# Fault → words of the complaint that must find it, and the function that injects it.
FAULTS: dict[str, tuple[str, Fault]] = {
    "no tracking UID": ("tracking UIDs", lambda sr: drop(groups(sr)[NECK], "112040")),
    "two groups of one tracking UID": ("tracking UIDs", share_tracking_uid),
    "no tracking identifier": ("tracking identifier", lambda sr: drop(sr, "112039")),
    "sum of 80 %": ("sum to 100", lambda sr: number(sr, "P_NORMAL_R", "1")),
    "probability of 170 %": ("out of range", lambda sr: number(sr, "P_NORMAL_R", "170")),
    "a class that is not the likeliest": (
        "most probable",
        lambda sr: recode(groups(sr)[HIP], "BMD_CLASS", "17621005"),
    ),
    "a conclusion that is not the worse hip's": (
        "worse hip",
        lambda sr: recode(sr, "121077", "17621005"),
    ),
    "open polyline": ("open outline", lambda sr: outline(sr, 1, 1, 2, 1, 2, 2, 1, 2, 1, 3)),
    "point outside of the image": (
        "outside the image",
        lambda sr: outline(sr, 1, 1, 900, 1, 900, 9, 1, 9, 1, 1),
    ),
    "polyline of five points": (
        "so few points",
        lambda sr: outline(sr, 1, 1, 2, 1, 2, 2, 1, 2, 1, 1),
    ),
    "conclusion of both sides": (
        "not of the hips that have the grade",
        lambda sr: recode(item(sr, "121077"), "272741003", "51440002"),
    ),
    "another assessed side": (
        "assessed sides",
        lambda sr: recode(sr, "ASSESSED_SIDES", "24028007"),
    ),
    "no impression": ("impression is not the first content", lambda sr: drop(sr, "121073")),
    "impression without what the model is": (
        "what the model is",
        lambda sr: setattr(item(sr, "121073"), "TextValue", "Low density suggested."),
    ),
    "probability of the other side": (
        "name of the other side",
        lambda sr: setattr(
            item(sr, "P_NORMAL_R").ConceptNameCodeSequence[0], "CodeValue", "P_NORMAL_L"
        ),
    ),
    "no region": ("exactly one region", lambda sr: drop(groups(sr)[NECK], "111030")),
    "wrong side": ("laterality", lambda sr: recode(groups(sr)[NECK], "272741003", "7771000")),
    "a hip in silence": ("passed over", drop_left),
    "capture not in the evidence": ("not in the evidence", drop_capture),
    "capture not referenced": (
        "capture is not referenced",
        lambda sr: [drop(sr, "130401") for _ in range(2)],
    ),
    "no algorithm version": ("algorithm item", lambda sr: drop(groups(sr)[NECK], "111003")),
    "another algorithm version": (
        "algorithm item",
        lambda sr: setattr(item(groups(sr)[NECK], "111003"), "TextValue", "0"),
    ),
    "another device": (
        "equipment differ",
        lambda sr: setattr(item(sr, "121012"), "UID", "1.2.3"),
    ),
    "no notice": ("notice", empty_comments),
    "no status of use": ("status of use", lambda sr: drop(sr, "USE_STATUS")),
    "private scheme undeclared": (
        "not declared",
        lambda sr: delattr(sr, "CodingSchemeIdentificationSequence"),
    ),
    "unit that UCUM does not have": ("unknown unit", bogus_unit),
    "area of another outline": (
        "not that of the outline",
        lambda sr: number(sr, "42798000", "95"),
    ),
    "mean without deviation": ("without its deviation", lambda sr: drop(sr, "112183")),
    "altered meaning in the tree": ("altered meaning", alter_meaning),
    "altered meaning in the header": ("altered meaning", alter_purpose),
    "no language": ("no language", lambda sr: drop(sr, "121049")),
    "no image library": ("no image library", lambda sr: drop(sr, "111028")),
    "continuous container": (
        "SEPARATE",
        lambda sr: setattr(sr, "ContinuityOfContent", "CONTINUOUS"),
    ),
    "verified without a verifier": (
        "verified",
        lambda sr: setattr(sr, "VerificationFlag", "VERIFIED"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_rules_find_an_injected_fault(fault: str) -> None:
    screening, capture, report = built("both hips")
    words, seed = FAULTS[fault]
    broken = deepcopy(report)
    seed(broken)

    assert any(words in complaint for complaint in violations(broken, capture, screening))


# Faults of a hip that was not assessed, beside one that was.
OMISSIONS: dict[str, tuple[str, Fault]] = {
    "not evaluated, unsaid": ("passed over", lambda sr: drop(evaluations(sr), "BMD_CLASS")),
    "no reason": ("no reason", lambda sr: drop(evaluations(sr), "NA_REASON")),
    "conclusion of both hips": (
        "not of the hips that have the grade",
        lambda sr: recode(item(sr, "121077"), "272741003", "51440002"),
    ),
}


def evaluations(sr: Dataset) -> Dataset:
    """Return the container of the qualitative evaluations."""
    assert not_evaluated(sr)
    return item(sr, "C0034375")


@pytest.mark.parametrize("fault", OMISSIONS)
def test_rules_find_what_is_missing_of_a_hip_that_was_not_assessed(fault: str) -> None:
    screening, capture, report = built("right only, left metal")
    words, seed = OMISSIONS[fault]
    broken = deepcopy(report)
    seed(broken)

    assert any(words in complaint for complaint in violations(broken, capture, screening))
