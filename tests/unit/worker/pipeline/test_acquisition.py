"""Covered: every rule inside and outside an envelope, kernels by name, damaged headers.
Not covered: storage of an envelope in a package (test_package), its measurement in training
(test_envelope)."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.ct_volume import AXIAL, CORONAL, ct_headers, sorted_series
from worker.pipeline import acquisition
from worker.pipeline.acquisition import Envelope, acquisition_warnings
from worker.pipeline.volume import Series
from worker.pipeline.warnings import TOPICS, topic_of

ENVELOPE = Envelope(
    scans=100,
    kvp=(80, 140),
    thickness_mm={"coronal": (2, 4), "axial": (0.6, 5)},
    increment_mm={"coronal": (2, 4), "axial": (0.6, 5)},
    kernels=("SOFT", "STANDARD"),
    manufacturers=("SIEMENS", "GE MEDICAL SYSTEMS"),
    contrast_share=0.9,
)
HEADER: dict[str, Any] = {
    "KVP": 120,
    "SliceThickness": 3,
    "ConvolutionKernel": "STANDARD",
    "Manufacturer": "SIEMENS",
}


def series(
    count: int = 12, directions: Any = CORONAL, step: Any = None, **changed: Any
) -> Series:
    headers = ct_headers(count, directions=directions, step=step, **(HEADER | changed))
    return sorted_series(headers)


@pytest.mark.parametrize("directions", [CORONAL, AXIAL])
def test_inside_the_envelope_there_is_no_warning(directions: Any) -> None:
    assert acquisition_warnings(series(directions=directions), ENVELOPE) == ()


@pytest.mark.parametrize(
    ("changed", "warning"),
    [
        ({"KVP": 70}, "Tube voltage 70 kV: the model was trained on 80–140 kV."),
        (
            {"ConvolutionKernel": "BONE"},
            "Reconstruction kernel BONE: the model was trained on SOFT, STANDARD.",
        ),
        (
            {"ConvolutionKernel": ["Br64d", "3"]},
            "Reconstruction kernel Br64d: the model was trained on SOFT, STANDARD.",
        ),
        (
            {"ConvolutionKernel": "MUELLER^HANS"},
            "Reconstruction kernel: the model was trained on SOFT, STANDARD.",
        ),
        (
            {"SliceThickness": 5},
            "Slice thickness 5.0 mm: the model was trained on 2.0–4.0 mm (coronal).",
        ),
        (
            {"SliceThickness": 1},
            "Slice thickness 1.0 mm: the model was trained on 2.0–4.0 mm (coronal).",
        ),
        (
            {"step": (0, 5, 0)},
            "Slice increment 5.0 mm: the model was trained on 2.0–4.0 mm (coronal).",
        ),
        (
            {"Manufacturer": "Mueller Imaging"},
            "Manufacturer of the scanner: the model was trained on SIEMENS, "
            "GE MEDICAL SYSTEMS only.",
        ),
        (
            {"KVP": None, "ConvolutionKernel": "", "SliceThickness": "thick"},
            "Not stated in the header: tube voltage, kernel, slice thickness.",
        ),
    ],
)
def test_each_rule_gives_one_sentence(changed: dict[str, Any], warning: str) -> None:
    assert acquisition_warnings(series(**changed), ENVELOPE) == (warning,)
    assert topic_of(warning) in TOPICS


def test_several_rules_give_several_warnings() -> None:
    found = acquisition_warnings(series(KVP=150, SliceThickness=8), ENVELOPE)

    assert [topic_of(warning) for warning in found] == ["Tube voltage", "Slice thickness"]


@pytest.mark.parametrize(
    "changed",
    [
        {"KVP": 121},
        {"SliceThickness": 1.95},
        {"step": (0, 0.7, 0)},
        {"ConvolutionKernel": "standard"},
        {"ConvolutionKernel": "Br40d"},
        {"ConvolutionKernel": "FC08"},
        {"Manufacturer": "Siemens Healthineers"},
        {"Manufacturer": None},
    ],
    ids=str,
)
def test_rounded_values_and_synonyms_are_inside(changed: dict[str, Any]) -> None:
    assert acquisition_warnings(series(**changed), ENVELOPE) == ()


def test_slices_are_compared_with_those_of_the_same_orientation() -> None:
    axial = series(directions=AXIAL, SliceThickness=5, step=(0, 0, 5))

    assert acquisition_warnings(axial, ENVELOPE) == ()
    assert (
        acquisition_warnings(axial, replace(ENVELOPE, thickness_mm={}, increment_mm={})) == ()
    )


def test_model_of_simulated_scans_does_not_compare_manufacturers() -> None:
    simulated = replace(ENVELOPE, manufacturers=())

    assert acquisition_warnings(series(Manufacturer="Anybody"), simulated) == ()


def test_model_without_envelope_gives_one_warning() -> None:
    (warning,) = acquisition_warnings(series(KVP=70), None)

    assert topic_of(warning) == "Training scans"


@pytest.mark.parametrize(
    ("name", "sharpness"),
    [
        ("B20s", "smooth"), ("I31f", "medium"), ("Br40d", "medium"), ("Qr44", "medium"),
        ("B70f", "sharp"), ("Bl57", "sharp"), ("FC18", "medium"), ("FC51", "sharp"),
        ("Bone Plus", "sharp"), ("SOFT", "smooth"), ("B", "medium"), ("whatever", None),
    ],
)  # fmt: skip
def test_sharpness_follows_from_the_name(name: str, sharpness: str | None) -> None:
    assert acquisition.sharpness_of(name) == sharpness
