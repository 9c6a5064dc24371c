"""Covered: acquisitions that alternate, and sequences of values that are normal."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset

from tests.support import enhanced_ct
from tests.support.ct_volume import (
    AXIAL,
    CORONAL,
    alter,
    ct_headers,
    read_series,
    sorted_series,
)
from tests.support.enhanced_ct import images_of, noise
from tests.support.rule_results import rejection
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.interleaving import interleaved
from worker.pipeline.validation.rules import first_failure

ValueOf = Callable[[int], object]


def reason_of(keyword: str, value_of: ValueOf, count: int = 60, **geometry: object) -> object:
    """Return the reason for a series of 3 mm with these values along its normal."""
    headers = ct_headers(count, **geometry)  # type: ignore[arg-type]
    for index, ds in enumerate(headers):
        alter(ds, keyword, value_of(index))
    return rejection(interleaved(sorted_series(headers)))


@pytest.mark.parametrize(
    ("keyword", "value_of"),
    [
        ("AcquisitionNumber", lambda i: i % 2 + 1),
        ("AcquisitionNumber", lambda i: i % 3 + 1),
        ("AcquisitionNumber", lambda i: i // 2 % 2 + 1),
        ("AcquisitionNumber", lambda i: None if i % 2 else 1),
        ("AcquisitionNumber", lambda i: 2 if 20 <= i < 40 else 1),
        ("AcquisitionNumber", lambda i: i % 2 + 1 if i > 30 else 1),
        ("AcquisitionTime", lambda i: ["101500", "101600.5"][i % 2]),
        ("AcquisitionTime", lambda i: f"10{15 + i % 2}{i // 2:02}"),
        ("AcquisitionDateTime", lambda i: f"2026010210{15 + i % 2}{i // 2:02}+0100"),
        ("AcquisitionUID", lambda i: f"1.2.{i % 2}"),
        ("IrradiationEventUID", lambda i: f"1.2.{i % 2}"),
        ("ConvolutionKernel", lambda i: ["Br40", "Br60"][i % 2]),
        ("KVP", lambda i: [80, 140][i % 2]),
        ("MonoenergeticEnergyEquivalent", lambda i: [65.0, 80.0][i % 2]),
        ("NominalPercentageOfCardiacPhase", lambda i: [35.0, 75.0][i % 2]),
        ("SeriesDescription", lambda i: ["arterial", "portal"][i % 2]),
    ],
)
@pytest.mark.covers("H4")
def test_acquisitions_that_alternate_are_mixed(keyword: str, value_of: ValueOf) -> None:
    reason = reason_of(keyword, value_of)

    assert isinstance(reason, Reason)
    assert reason.code is ReasonCode.MIXED
    assert keyword in reason.text
    assert "arterial" not in reason.text


@pytest.mark.parametrize(
    ("keyword", "value_of"),
    [
        ("AcquisitionNumber", lambda i: 1 + (i >= 30)),
        ("AcquisitionNumber", lambda i: i),
        ("AcquisitionNumber", lambda i: i * 37 % 60),
        ("AcquisitionNumber", lambda i: i // 4),
        ("AcquisitionNumber", lambda i: 60 - i // 4),
        ("AcquisitionNumber", lambda i: 1 if i < 25 else 2 if i > 35 else i % 2 + 1),
        ("AcquisitionNumber", lambda i: "abc"),
        ("AcquisitionTime", lambda i: f"10{i:02}00"),
        ("AcquisitionTime", lambda i: f"1015{(i + (i * 7) % 3) // 4:02}"),
        ("AcquisitionTime", lambda i: "235959" if i < 20 else "000003"),
        ("AcquisitionTime", lambda i: None),
        ("ContentTime", lambda i: ["101500", "101600"][i % 2]),
        ("InstanceCreationTime", lambda i: ["101500", "101600"][i % 2]),
        ("XRayTubeCurrent", lambda i: [100, 200][i % 2]),
        ("KVP", lambda i: 120),
    ],
)
@pytest.mark.parametrize("directions", [AXIAL, CORONAL], ids=["axial", "coronal"])
def test_values_that_follow_each_other_are_normal(
    keyword: str, value_of: ValueOf, directions: object
) -> None:
    assert reason_of(keyword, value_of, directions=directions) is None


def test_short_stack_of_two_phases_is_mixed() -> None:
    assert reason_of("AcquisitionNumber", lambda i: i % 2, count=12) == Reason(
        ReasonCode.MIXED,
        "2 acquisitions alternate over 27 mm, by AcquisitionNumber 0, 1: one after the other "
        "is expected.",
    )


def test_uneven_phases_are_mixed_before_they_are_gaps() -> None:
    headers = ct_headers(40, directions=AXIAL)
    for index, ds in enumerate(headers):
        ds.AcquisitionNumber = index % 2 + 1
        ds.ImagePositionPatient[2] += 1.3 * (index % 2)

    reason = first_failure(eligibility.check_series(sorted_series(headers)))

    assert reason is not None
    assert reason.code is ReasonCode.MIXED


@pytest.mark.parametrize("keyword", ["FrameAcquisitionNumber", "TemporalPositionIndex"])
def test_frames_of_two_acquisitions_are_mixed(tmp_path: Path, keyword: str) -> None:
    def change(ds: Dataset) -> None:
        for index, groups in enumerate(ds.PerFrameFunctionalGroupsSequence):
            setattr(groups.FrameContentSequence[0], keyword, index % 2 + 1)

    images = images_of(tmp_path / "single", noise())
    series = read_series(enhanced_ct.write_enhanced(images, tmp_path, change=change))

    reason = rejection(interleaved(series))

    assert reason is not None
    assert reason.text.startswith(f"2 acquisitions alternate over 33 mm, by {keyword} 1, 2")
