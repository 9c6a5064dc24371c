"""Covered: what is measured of real and simulated scans. Not covered: comparing with it
(test_acquisition)."""

from dataclasses import asdict, replace

import pytest

from training import presets
from training.cohort_crops import sample_scans
from training.envelope import ScanFacts, measure_envelope, simulated_envelope
from training.simulate.series import KERNELS
from worker.pipeline.acquisition import Envelope

COMPACT = presets.load("compact")
FEW = replace(COMPACT, cohort=replace(COMPACT.cohort, patients=6, scans=2))
SCANS = (
    ScanFacts("coronal", 120, 3, 3, "Br40d", "SIEMENS", enhanced=True),
    ScanFacts("coronal", 100, 2, 1.5, "Br36d", "SIEMENS", enhanced=True),
    ScanFacts("axial", 140, 5, 5, "STANDARD", "GE MEDICAL SYSTEMS", enhanced=False),
    ScanFacts("axial", None, None, None, None, None, enhanced=True),
)


def test_ranges_and_names_of_real_scans() -> None:
    envelope = measure_envelope(SCANS)

    assert envelope.scans == 4
    assert envelope.kvp == (100, 140)
    assert envelope.thickness_mm == {"coronal": (2, 3), "axial": (5, 5)}
    assert envelope.increment_mm == {"coronal": (1.5, 3), "axial": (5, 5)}
    assert envelope.kernels == ("Br36d", "Br40d", "STANDARD")
    assert envelope.manufacturers == ("GE MEDICAL SYSTEMS", "SIEMENS")
    assert envelope.contrast_share == 0.75


def test_scans_that_state_no_tube_voltage_are_no_envelope() -> None:
    with pytest.raises(ValueError, match="empty"):
        measure_envelope(SCANS[3:])


def test_simulated_envelope_holds_every_scan_of_the_cohort() -> None:
    envelope = simulated_envelope(FEW, seed=4)

    scans = [scan for patient in range(6) for scan in sample_scans(FEW.cohort, 4, patient)]
    assert envelope.scans == len(scans) == 12
    low, high = envelope.kvp
    assert {low, high} <= {scan.acquisition.kvp for scan in scans}
    assert all(low <= scan.acquisition.kvp <= high for scan in scans)
    assert set(envelope.kernels) == {KERNELS[scan.acquisition.kernel] for scan in scans}
    assert envelope.manufacturers == ()
    assert envelope.thickness_mm["axial"][1] == FEW.augment.slice_mm


def test_envelope_is_the_same_after_json() -> None:
    envelope = measure_envelope(SCANS)

    assert Envelope.from_json(asdict(envelope)) == envelope
