"""Acquisition ranges of a data set's scans.

Not covered: comparison of a series with them (worker/pipeline/test_acquisition.py).
"""

from dataclasses import asdict

import pytest

from training import presets
from training.cohort.dataset import Record
from training.fit.envelope import THINNEST_MM, measure_envelope
from worker.pipeline.acquisition import Envelope


def scan(number: int, *facts: object) -> Record:
    names = ("orientation", "kvp", "thickness_mm", "increment_mm", "kernel", "manufacturer")
    known = dict(zip(names, facts, strict=True))
    return Record("P", f"S{number}", "R", -1.5, enhanced=number != 3, **known)  # type: ignore[arg-type]


SCANS = (
    scan(1, "coronal", 120, 3, 3, "Br40d", "SIEMENS"),
    scan(2, "coronal", 100, 2, 1.5, "Br36d", "SIEMENS"),
    scan(3, "axial", 140, 5, 5, "STANDARD", "GE MEDICAL SYSTEMS"),
    scan(4, "axial", None, None, None, None, None),
)


def test_ranges_and_names_of_real_scans() -> None:
    # Both hips of one scan are one scan.
    envelope = measure_envelope((*SCANS, SCANS[0]))

    assert envelope.scans == 4
    assert envelope.kvp == (100, 140)
    assert envelope.thickness_mm == {"coronal": (2, 3), "axial": (5, 5)}
    assert envelope.increment_mm == {"coronal": (1.5, 3), "axial": (5, 5)}
    assert envelope.kernels == ("Br36d", "Br40d", "STANDARD")
    assert envelope.manufacturers == ("GE MEDICAL SYSTEMS", "SIEMENS")
    assert envelope.contrast_share == 0.75


def test_augmentation_that_imitates_axial_slices_extends_the_axial_range() -> None:
    ours = presets.load("osteoscreen").augment
    papers = presets.load("paper-image").augment

    envelope = measure_envelope(SCANS[:2], ours)

    assert envelope.thickness_mm["axial"] == (THINNEST_MM, ours.slice_mm)
    assert envelope.increment_mm["axial"] == (THINNEST_MM, ours.slice_mm)
    assert "axial" not in measure_envelope(SCANS[:2], papers).thickness_mm


def test_scans_without_a_tube_voltage_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        measure_envelope(SCANS[3:])


def test_envelope_is_the_same_after_json() -> None:
    envelope = measure_envelope(SCANS)

    assert Envelope.from_json(asdict(envelope)) == envelope
