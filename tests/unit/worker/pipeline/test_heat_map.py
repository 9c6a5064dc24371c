"""Covered: the share of a heat map on its femur, and the warning. Not covered: the correctness
of Grad-CAM (test_explain)."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from worker.pipeline.crop import crop_hip
from worker.pipeline.heat_map import heat_map_warning, is_heat_on_femur, share_on_femur
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Hip
from worker.pipeline.volume import Femur, Plane

HeatMap = npt.NDArray[np.float32]

FEMUR = Femur(
    "L",
    center_mm=(90.0, 10.0, 30.0),
    radius_mm=24.0,
    neck_mm=(118.0, 12.0, 8.0),
    confidence=0.9,
    trochanter_mm=(136.0, 14.0, -6.0),
    shaft_direction=(0.0, 0.0, -1.0),
)
PLANE = Plane(40, np.zeros((600, 500), np.int16), (-200.0, 12.0, 240.0), 0.7, 0.8, None)
CROP = crop_hip(PLANE, FEMUR)
SHAFT, HEAD, ISCHIUM, ILIUM = (136, -80), (90, 30), (60, -30), (120, 90)


def heat(*spots: tuple[float, float]) -> HeatMap:
    """Return equal spots at (x, z) in patient mm."""
    left, _, top = CROP.corners_mm[0]
    rows, columns = np.mgrid[:250, :250] + 0.5
    x, z = left + columns * CROP.pixel_mm, top - rows * CROP.pixel_mm
    found = sum(np.exp(-((x - at) ** 2 + (z - up) ** 2) / (2 * 5.0**2)) for at, up in spots)
    return np.asarray(found, np.float32)


def hip(heat_map: HeatMap | None) -> Hip:
    return Hip("L", femur=FEMUR, plane=PLANE, crop=CROP, heat_map=heat_map)


@pytest.mark.parametrize(
    ("spots", "share"),
    [
        ([HEAD], 1),
        ([SHAFT], 1),
        ([ISCHIUM], 0),
        ([HEAD, ILIUM], 0.5),
        ([HEAD, SHAFT, ILIUM], 2 / 3),
    ],
)
def test_share_on_head_neck_and_shaft(spots: list[tuple[float, float]], share: float) -> None:
    assert share_on_femur(PLANE, CROP, FEMUR, heat(*spots)) == pytest.approx(share, abs=0.02)


def test_without_a_shaft_head_and_neck_count() -> None:
    femur = dataclasses.replace(FEMUR, trochanter_mm=None, shaft_direction=None)

    assert share_on_femur(PLANE, CROP, femur, heat(HEAD)) == pytest.approx(1, abs=0.02)
    assert share_on_femur(PLANE, CROP, femur, heat(SHAFT)) < 0.05


def test_map_beside_the_femur_has_a_warning() -> None:
    right = dataclasses.replace(hip(heat(HEAD, ILIUM, ISCHIUM)), side="R")

    assert heat_map_warning([hip(heat(HEAD, SHAFT, ILIUM))]) is None
    assert heat_map_warning([right, hip(heat(ISCHIUM))]) == (
        "Heat map: only 33 % on the right femur, 0 % on the left femur. "
        "It does not show what the grade rests on."
    )


def test_missing_and_empty_maps_have_no_warning() -> None:
    metal = Hip("R", femur=FEMUR, reason=Reason(ReasonCode.METAL, "12.0 ml of metal."))

    assert heat_map_warning([metal, hip(None), hip(np.zeros((250, 250), np.float32))]) is None


def test_heat_counts_as_on_the_femur_with_its_peak_and_most_of_it() -> None:
    strong_ischium = np.maximum(heat(HEAD, SHAFT), 1.2 * heat(ISCHIUM))

    assert is_heat_on_femur(hip(heat(HEAD, SHAFT, ISCHIUM)))
    assert not is_heat_on_femur(hip(strong_ischium))
    assert share_on_femur(PLANE, CROP, FEMUR, strong_ischium) > 0.5
    assert not is_heat_on_femur(hip(heat(HEAD, ISCHIUM, ILIUM)))
    assert not is_heat_on_femur(hip(np.zeros((250, 250), np.float32)))
    assert is_heat_on_femur(hip(None))


def test_heat_inside_the_outline_is_on_the_femur() -> None:
    x, z = ILIUM
    around = tuple(
        (x + right, 12.0, z + up) for right, up in ((-25, 25), (25, 25), (25, -25), (-25, -25))
    )

    assert not is_heat_on_femur(hip(heat(ILIUM)))
    assert is_heat_on_femur(dataclasses.replace(hip(heat(ILIUM)), outline_mm=around))
