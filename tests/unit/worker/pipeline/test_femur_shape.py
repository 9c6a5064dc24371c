"""Covered: which pixels of a crop belong to the femur, on a phantom. Not covered: real CT."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.factories import phantom_femur, plane_of_phantom
from tests.support.hip_phantom import HEADS_MM, NECKS_MM
from worker.pipeline.crop import CROP_PIXEL_MM, CROP_PX, crop_hip
from worker.pipeline.femur_shape import LIMIT_MM, STEP_MM, femur_distance
from worker.pipeline.results import HipCrop
from worker.pipeline.volume import PointMm, Side, to_point


def pixel_of(crop: HipCrop, point: PointMm) -> tuple[int, int]:
    corner, right, _, bottom = np.array(crop.corners_mm)
    from_corner = np.array(point) - corner
    row, column = (
        float(from_corner @ edge / np.linalg.norm(edge)) / CROP_PIXEL_MM
        for edge in (bottom - corner, right - corner)
    )
    return int(row), int(column)


@pytest.mark.parametrize("side", ["R", "L"])
def test_distances_are_negative_on_head_neck_and_shaft(side: Side) -> None:
    crop = crop_hip(plane_of_phantom(), phantom_femur(side))
    other: Side = "L" if side == "R" else "R"

    for point in (HEADS_MM, NECKS_MM):
        assert crop.femur_mm[pixel_of(crop, point[side])] < -8
    middle = np.array(crop.corners_mm).mean(axis=0)
    inner = middle + 0.9 * (np.array(HEADS_MM[other]) - middle)
    row, column = pixel_of(crop, to_point(inner))
    if 0 <= row < CROP_PX and 0 <= column < CROP_PX:
        assert crop.femur_mm[row, column] > 20


def test_head_has_its_radius_in_the_crop() -> None:
    crop = crop_hip(plane_of_phantom(), phantom_femur("R"))
    x, y, z = HEADS_MM["R"]

    # Upward no other part of the femur is near.
    for beyond_mm in (0.0, 10.0, 25.0):
        found = crop.femur_mm[pixel_of(crop, (x, y, z + 23.0 + beyond_mm))]
        assert found == pytest.approx(beyond_mm, abs=1.5)


def test_distances_fit_in_a_byte_in_half_millimeters() -> None:
    steps = crop_hip(plane_of_phantom(), phantom_femur("R")).femur_mm / STEP_MM

    assert np.array_equal(steps, np.rint(steps))
    assert np.abs(steps).max() == LIMIT_MM / STEP_MM < 127


def test_a_small_head_is_left_where_the_plane_misses_it() -> None:
    plane = plane_of_phantom()
    x, y, z = HEADS_MM["R"]
    missed = replace(phantom_femur("R"), center_mm=(x, y + 40.0, z))
    rows, columns = ((np.arange(size) * 1.0) for size in (300, 300))

    distances = femur_distance(plane, missed, rows, columns)

    assert np.isfinite(distances).all()
    assert distances.min() < -5
