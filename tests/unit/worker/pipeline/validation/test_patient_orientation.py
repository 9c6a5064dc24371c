"""Covered: Patient Orientation beside Image Orientation (Patient) in all planes."""

import numpy as np
import pytest

from tests.support.ct_volume import AXIAL, CORONAL, Point, ct_headers
from tests.support.rule_results import rejection
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.validation.patient_orientation import contradicting_orientation

MIRRORED: tuple[Point, Point] = ((-1, 0, 0), (0, 0, -1))


def turned(degrees: float) -> tuple[Point, Point]:
    """Return coronal directions with the row turned to the front."""
    angle = np.radians(degrees)
    return (float(np.cos(angle)), -float(np.sin(angle)), 0.0), (0, 0, -1)


def reason_of(value: object, directions: tuple[Point, Point], **elements: object) -> object:
    headers = ct_headers(12, directions=directions, PatientOrientation=value, **elements)
    return rejection(contradicting_orientation(headers))


@pytest.mark.parametrize(
    ("value", "directions"),
    [
        (["L", "F"], CORONAL),
        (["L", "P"], AXIAL),
        (["R", "F"], MIRRORED),
        (["l ", "f"], CORONAL),
        (["LA", "F"], turned(20)),
        (["LP", "F"], turned(5)),
        (["LAH", "FR"], turned(20)),
        (["A", "F"], turned(50)),
        (["AL", "F"], turned(45)),
        (["L", "F"], turned(45)),
        (["LE", "CD"], CORONAL),
        (["LE", "D"], AXIAL),
        (["L", ""], CORONAL),
        (["", ""], CORONAL),
        (None, CORONAL),
        ("R", CORONAL),
        (["R"], CORONAL),
        (["R", "F", "A"], CORONAL),
        (["X", "Miller^Jane"], CORONAL),
        (["RL", "F"], CORONAL),
        (["RR", "F"], CORONAL),
    ],
)
def test_orientation_that_agrees_or_says_nothing_is_accepted(
    value: object, directions: tuple[Point, Point]
) -> None:
    assert reason_of(value, directions) is None


@pytest.mark.parametrize(
    ("value", "directions"),
    [
        (["R", "F"], CORONAL),
        (["L", "F"], MIRRORED),
        (["L", "H"], CORONAL),
        (["L", "A"], AXIAL),
        (["RA", "F"], turned(20)),
        (["LP", "F"], turned(45)),
        (["F", "L"], CORONAL),
        (["RT", "CD"], CORONAL),
        (["", "H"], CORONAL),
    ],
)
@pytest.mark.covers("H1")
def test_contradiction_is_rejected(value: object, directions: tuple[Point, Point]) -> None:
    reason = reason_of(value, directions)

    assert isinstance(reason, Reason)
    assert reason.code is ReasonCode.ORIENTATION


def test_reason_says_both_orientations() -> None:
    assert reason_of(["R", "F"], CORONAL) == Reason(
        ReasonCode.ORIENTATION,
        "Patient Orientation R/F contradicts Image Orientation (Patient), which means L/F, "
        "in 12 of 12 images.",
    )


def test_letters_of_a_biped_mean_nothing_for_a_quadruped() -> None:
    assert reason_of(["R", "F"], CORONAL, AnatomicalOrientationType="QUADRUPED") is None
