"""Contrast phase by the description of the series or the time since the injection."""

import pytest
from pydicom import Dataset

from worker.pipeline.ranking.phase import contrast_phase


@pytest.mark.parametrize(
    ("description", "phase"),
    [
        ("Abdomen nativ 3.0", "none"),
        ("ABD W/O CONTRAST", "none"),
        ("Thorax arteriell", "arterial"),
        ("Abdomen portalvenös 70s", "portal"),
        ("Urogramm spät", "late"),
        ("Art + ven 5mm", "unknown"),
        ("Abdomen 5.0", "unknown"),
        ("", "unknown"),
    ],
)
def test_by_description(description: str, phase: str) -> None:
    ds = Dataset()
    ds.SeriesDescription = description
    assert contrast_phase(ds) == phase


@pytest.mark.parametrize(
    ("acquired", "phase"), [("120030", "arterial"), ("120120", "portal"), ("120500", "late")]
)
def test_by_time_since_injection(acquired: str, phase: str) -> None:
    ds = Dataset()
    ds.ContrastBolusStartTime, ds.AcquisitionTime = "120000", acquired
    assert contrast_phase(ds) == phase
