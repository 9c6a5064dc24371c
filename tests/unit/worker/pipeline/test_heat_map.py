"""Covered: the plane of a heat map, its share on the femur, and the warning. Not covered: the
correctness of Grad-CAM (test_explain)."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from worker.pipeline.crop import crop_graded, crop_hip
from worker.pipeline.femurs.planes import graded_cuts
from worker.pipeline.heat_map import (
    heat_map_warning,
    is_heat_on_femur,
    on_shown_plane,
    share_on_femur,
)
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Hip, HipCrop
from worker.pipeline.volume import Femur, Plane, Volume

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


@pytest.mark.parametrize("part", ["head", "neck", "trochanter"])
def test_heat_of_the_turned_cuts_is_drawn_over_the_same_bone(part: str) -> None:
    points = {"head": (90.0, 10.0, 30.0), "neck": (118.0, 24.0, 8.0)}
    points["trochanter"] = (136.0, 32.0, -6.0)
    femur = dataclasses.replace(
        FEMUR,
        center_mm=points["head"],
        neck_mm=points["neck"],
        trochanter_mm=points["trochanter"],
    )
    affine = np.array([[0, 0, 0.8, -200], [2.5, 0, 0, -90], [0, -0.7, 0, 240], [0, 0, 0, 1.0]])
    volume = Volume(np.zeros((90, 600, 500), np.int16), affine)
    cuts = graded_cuts(volume, femur)
    middle = cuts[len(cuts) // 2]
    crops = crop_graded(cuts, femur, PLANE)

    heat = on_shown_plane(spot(crop_hip(middle, femur), middle, points[part]), crops.cosine)

    assert 0.8 < crops.cosine < 0.95
    shown = spot(crop_hip(PLANE, femur), PLANE, points[part])
    for found, expected in zip(middle_of(heat), middle_of(shown), strict=True):
        assert found == pytest.approx(expected, abs=1.5)  # px of 0.98 mm


def spot(crop: HipCrop, plane: Plane, point: tuple[float, float, float]) -> HeatMap:
    """Return a map with one spot where the point lies on the crop."""
    spacing = np.array((plane.row_spacing_mm, plane.column_spacing_mm))
    at = (plane.to_index(point) + 0.5 - (crop.row, crop.col)) * spacing / crop.pixel_mm - 0.5
    rows, columns = np.mgrid[:250, :250]
    off = (rows - at[0]) ** 2 + (columns - at[1]) ** 2
    return np.exp(-off / (2 * 5.0**2)).astype(np.float32)


def middle_of(heat_map: HeatMap) -> tuple[float, float]:
    """Return the row and column of the middle of the heat."""
    rows, columns = np.mgrid[:250, :250]
    return tuple(float(np.average(axis, weights=heat_map)) for axis in (rows, columns))


def test_heat_of_a_cut_in_the_shown_plane_keeps_its_place() -> None:
    heat_map = np.random.default_rng(2).random((250, 250), np.float32)

    np.testing.assert_array_equal(on_shown_plane(heat_map, 1.0), heat_map)


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
