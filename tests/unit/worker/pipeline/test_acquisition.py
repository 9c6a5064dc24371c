"""Covered: every rule inside and outside of an envelope, kernels by name, headers that lie.
Not covered: how a package stores an envelope (test_package), how training measures it
(test_envelope)."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.ct_volume import AXIAL, CORONAL, ct_headers
from worker.pipeline import acquisition, geometry
from worker.pipeline.acquisition import Envelope, warnings_of
from worker.pipeline.cautions import TOPICS, topic_of
from worker.pipeline.geometry import known
from worker.pipeline.results import Series

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
    found = known(geometry.directions_of(headers[0]))
    distances = known(geometry.distances_along(headers, geometry.normal_of(found)))
    ordered = tuple(headers[i] for i in np.argsort(distances))
    return Series("1.2", (), ordered, geometry.orientation_of(found))


@pytest.mark.parametrize("directions", [CORONAL, AXIAL])
def test_inside_of_the_envelope_nothing_is_said(directions: Any) -> None:
    assert warnings_of(series(directions=directions), ENVELOPE) == ()


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
def test_each_rule_says_one_sentence(changed: dict[str, Any], warning: str) -> None:
    assert warnings_of(series(**changed), ENVELOPE) == (warning,)
    assert topic_of(warning) in TOPICS


def test_rules_speak_together() -> None:
    found = warnings_of(series(KVP=150, SliceThickness=8), ENVELOPE)

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
def test_what_is_the_same_under_another_name_is_inside(changed: dict[str, Any]) -> None:
    assert warnings_of(series(**changed), ENVELOPE) == ()


def test_slices_are_compared_with_those_of_the_same_orientation() -> None:
    axial = series(directions=AXIAL, SliceThickness=5, step=(0, 0, 5))

    assert warnings_of(axial, ENVELOPE) == ()
    assert warnings_of(axial, replace(ENVELOPE, thickness_mm={}, increment_mm={})) == ()


def test_model_of_simulated_scans_only_says_nothing_of_manufacturers() -> None:
    simulated = replace(ENVELOPE, manufacturers=())

    assert warnings_of(series(Manufacturer="Anybody"), simulated) == ()


def test_model_without_envelope_says_so_once() -> None:
    (warning,) = warnings_of(series(KVP=70), None)

    assert topic_of(warning) == "Training scans"


@pytest.mark.parametrize(
    ("name", "sharpness"),
    [
        ("B20s", "smooth"), ("I31f", "medium"), ("Br40d", "medium"), ("Qr44", "medium"),
        ("B70f", "sharp"), ("Bl57", "sharp"), ("FC18", "medium"), ("FC51", "sharp"),
        ("Bone Plus", "sharp"), ("SOFT", "smooth"), ("B", "medium"), ("whatever", None),
    ],
)  # fmt: skip
def test_sharpness_is_told_from_the_name(name: str, sharpness: str | None) -> None:
    assert acquisition.sharpness_of(name) == sharpness
