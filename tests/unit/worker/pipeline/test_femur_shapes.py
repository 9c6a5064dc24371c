"""Covered: the parts of the finder on bodies of known shape: grid, sphere, shaft, neck, the
limit of the search. Not covered: planes (test_femur_planes), whole hips (test_select)."""

import time

import numpy as np
import pytest

from tests.support.hip_volume import volume_of
from worker.pipeline import select
from worker.pipeline.femurs.grid import build_grid, middle_of_body
from worker.pipeline.femurs.heads import PARAMETERS as HEAD_PARAMETERS
from worker.pipeline.femurs.heads import SphereCandidate, bone_points
from worker.pipeline.femurs.necks import Neck, find_neck, flare
from worker.pipeline.femurs.scoring import outward_neck
from worker.pipeline.femurs.sections import ring_score
from worker.pipeline.femurs.shafts import find_shaft
from worker.pipeline.femurs.spheres import fit_sphere, unevenness
from worker.pipeline.volume import Volume

MUSCLE_HU, MARROW_HU, CORTEX_HU = 50, 120, 700
CENTER = np.array([60.0, 50.0, 60.0])
AXIS = np.array([0.0, np.cos(np.radians(53)), np.sin(np.radians(53))])


def distances(shape: tuple[int, int, int], point: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return the distance in mm of each 2 mm voxel from the part of a line below a point."""
    away = np.moveaxis(np.indices(shape), 0, -1) * 2.0 - point
    along = np.clip(away @ axis, 0, None)
    return np.asarray(np.linalg.norm(away - along[..., None] * axis, axis=-1))


def bone(hu: np.ndarray, distance: np.ndarray, radius: float, cortex: float) -> None:
    """Draw a body with a cortex by the distance from its core."""
    hu[distance < radius] = CORTEX_HU
    hu[distance < radius - cortex] = MARROW_HU


def thigh(offset_mm: float) -> Volume:
    """Return a head and a shaft straight below it at an offset."""
    shape = (60, 110, 70)
    hu = np.full(shape, MUSCLE_HU)
    down = np.array([0.0, 1.0, 0.0])
    top = CENTER + offset_mm * np.array([0.0, 1 / np.tan(np.radians(53)), 1.0])
    bone(hu, distances(shape, top, down), 14, 5)
    points = np.moveaxis(np.indices(shape), 0, -1) * 2.0 - CENTER
    bone(hu, np.linalg.norm(points, axis=-1), 23, 2)
    return volume_of(hu)


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 0.7), (5.0, 0.6, 0.6), (3.0, 1.3, 1.3)])
def test_grid_has_the_same_voxels_and_places_for_every_spacing(
    spacing: tuple[float, float, float],
) -> None:
    shape = tuple(int(60 / step) + 1 for step in spacing)
    ramp = np.indices(shape)[1] * spacing[1] * 5
    grid = build_grid(volume_of(ramp, spacing))

    np.testing.assert_allclose(grid.voxel_mm, 2.0)
    points = np.array([[20.0, 30.0, 20.0], [30.0, 22.0, 44.0]])
    # Down the rows z falls by 1 mm and HU grow by 5.
    found, expected = grid.interpolate(points), -grid.to_patient(points)[:, 2] * 5
    np.testing.assert_allclose(found, expected, atol=3)
    np.testing.assert_allclose(grid.from_patient(grid.to_patient(points)), points)


def test_noise_has_a_bounded_number_of_points_and_no_femur() -> None:
    rng = np.random.default_rng(5)
    volume = volume_of(rng.normal(150, 200, (60, 130, 130)), (3.0, 1.6, 1.6))
    start = time.process_time()

    assert select.find_femurs(volume) == ()
    assert len(bone_points(build_grid(volume))) <= HEAD_PARAMETERS.max_points
    assert time.process_time() - start < 10


def test_sphere_is_the_heads_and_not_the_thicker_sockets_around_it() -> None:
    points = np.moveaxis(np.indices((60, 60, 60)), 0, -1) * 2.0 - 60.0
    distance = np.linalg.norm(points, axis=-1)
    hu = np.full(distance.shape, MUSCLE_HU)
    socket = (distance > 26) & (distance < 32) & (points @ AXIS < 0)
    hu[socket] = CORTEX_HU + 200
    hu[distance < 23] = 350
    hu[distance < 21] = MARROW_HU
    grid = build_grid(volume_of(hu))

    found = fit_sphere(grid, SphereCandidate(np.array([57.0, 63.0, 62.0]), 26.0, 0.3), AXIS)

    np.testing.assert_allclose(found.center, [60, 60, 60], atol=1.5)
    assert found.radius_mm == pytest.approx(23, abs=1.5)


def test_values_around_voxels_are_those_of_the_nearest_inside_and_outside() -> None:
    hu = np.random.default_rng(1).integers(-200, 1000, (20, 24, 28))
    grid = build_grid(volume_of(hu))
    points = np.array([[20.0, 24.0, 26.0], [2.0, 44.0, 30.0], [38.0, 46.0, 54.0]])
    offsets = np.array([[[0, 0, 0], [3.3, -5.2, 9.4]], [[-7.4, 11.3, 1.2], [13, 3, -11.5]]])
    offsets = offsets.astype(np.float32) * np.float32(0.99)

    values = grid.nearest_around(points, offsets)

    expected = grid.nearest(points[:, None, None].astype(np.float32) + offsets)
    np.testing.assert_array_equal(values, expected)
    assert np.isfinite(values[0]).all()
    assert np.isnan(values[2]).any()


def test_shaft_beside_the_head_is_found_with_its_axis() -> None:
    grid = build_grid(thigh(offset_mm=40.0))

    shaft = find_shaft(grid, SphereCandidate(CENTER, 23.0, 0.3), Neck(AXIS, 0.6))

    assert shaft is not None
    assert shaft.direction @ (0, 1, 0) > np.cos(np.radians(4))
    assert shaft.offset_mm == pytest.approx(40, abs=2.5)
    assert shaft.score > 0.7


def test_tube_with_more_bone_beside_it_is_hardly_a_shaft() -> None:
    """As in the pelvis: an edge all around, but not alone in soft tissue."""
    free = thigh(offset_mm=40.0)
    hu = free.hu.copy()
    hu[:, 45:, 60:] = CORTEX_HU
    sphere, neck = SphereCandidate(CENTER, 23.0, 0.3), Neck(AXIS, 0.6)

    alone = find_shaft(build_grid(free), sphere, neck)
    beside = find_shaft(build_grid(Volume(hu, free.affine)), sphere, neck)

    assert alone is not None
    assert alone.score > 0.8
    assert beside is None or beside.score < 0.8 * alone.score


def test_section_of_no_common_radius_is_no_ring() -> None:
    """A flat bone, such as the ilium: an edge in every direction, at all distances."""
    shape = (60, 110, 70)
    down = np.array([0.0, 1.0, 0.0])
    axis = np.array([60.0, 100.0, 70.0])
    across = np.abs(np.indices(shape).T * 2.0 - axis).T
    flat, round_ = np.full(shape, MUSCLE_HU), np.full(shape, MUSCLE_HU)
    flat[(across[0] < 8) & (across[2] < 24)] = CORTEX_HU
    bone(round_, distances(shape, axis - 60 * down, down), 14, 5)
    middles = axis + np.arange(0.0, 41.0, 8.0)[:, None] * down

    plate, shaft = (
        ring_score(build_grid(volume_of(hu)), middles, down) for hu in (flat, round_)
    )

    assert shaft > 0.8
    assert plate < 0.65 * shaft


@pytest.mark.parametrize("inside_hu", [CORTEX_HU, CORTEX_HU + 100, CORTEX_HU - 40])
def test_vessel_full_of_contrast_medium_is_no_shaft(inside_hu: int) -> None:
    """It has the edge of a shaft all around, but it is as dense inside."""
    shape = (60, 110, 70)
    down = np.array([0.0, 1.0, 0.0])
    axis = np.array([60.0, 100.0, 70.0])
    hu = np.full(shape, MUSCLE_HU)
    bone(hu, distances(shape, axis - 60 * down, down), 14, 3)
    hu[hu == MARROW_HU] = inside_hu
    middles = axis + np.arange(0.0, 41.0, 8.0)[:, None] * down

    assert ring_score(build_grid(volume_of(hu)), middles, down) == 0


def test_even_sphere_is_no_head_and_an_uneven_one_may_be() -> None:
    """A heart full of contrast medium, with noise; and trabeculae 6 mm apart."""
    shape = (60, 60, 60)
    sphere = SphereCandidate(CENTER, 23.0, 0.3)
    index = np.indices(shape)
    points = np.moveaxis(index, 0, -1) * 2.0 - CENTER
    inside = np.linalg.norm(points, axis=-1) < 23
    noise = np.random.default_rng(3).normal(0, 10, shape)
    blood = np.where(inside, 400, MUSCLE_HU) + noise
    head = np.where(inside, 250 + 60 * np.sin(index).sum(axis=0), MUSCLE_HU) + noise

    pool, bone_ = (unevenness(build_grid(volume_of(hu)), sphere) for hu in (blood, head))

    assert pool == 0
    assert bone_ == 1


def test_middle_of_a_body_is_between_its_sides_or_far_from_its_skin() -> None:
    whole = np.full((20, 30, 180), -1000.0, np.float32)
    whole[:, :, 10:170] = MUSCLE_HU
    whole[18, :, :] = MUSCLE_HU  # a table
    cut_left, cut_right = whole[:, :, :70], whole[:, :, 110:]

    assert middle_of_body(whole) == pytest.approx(179)
    assert middle_of_body(cut_left) == pytest.approx(2 * 10 + 140)
    assert middle_of_body(cut_right) == pytest.approx(2 * (169 - 110) - 140)
    assert middle_of_body(np.full((4, 4, 4), -1000.0, np.float32)) == 0


def test_shaft_straight_below_its_head_is_that_of_a_shoulder() -> None:
    grid = build_grid(thigh(offset_mm=8.0))

    assert find_shaft(grid, SphereCandidate(CENTER, 23.0, 0.3), Neck(AXIS, 0.6)) is None


def test_shaft_that_is_not_in_view_is_none() -> None:
    whole = thigh(offset_mm=40.0)
    grid = build_grid(Volume(whole.hu[:, :48], whole.affine))

    assert find_shaft(grid, SphereCandidate(CENTER, 23.0, 0.3), Neck(AXIS, 0.6)) is None


def test_rod_that_narrows_away_from_a_sphere_is_no_neck() -> None:
    """The rod of a sphere above a head is the rest of the head, and then the neck."""
    shape = (60, 80, 80)
    center = np.array([60.0, 50.0, 50.0])
    points = np.moveaxis(np.indices(shape), 0, -1) * 2.0 - center
    along = points @ AXIS
    away = np.linalg.norm(points - along[..., None] * AXIS, axis=-1)

    def flare_of(near_mm: float, far_mm: float) -> float:
        width = np.interp(along, [22, 40], [near_mm, far_mm])
        hu = np.full(shape, MUSCLE_HU)
        hu[(away < width) & (along > 0)] = CORTEX_HU
        return flare(build_grid(volume_of(hu)), SphereCandidate(center, 23.0, 0.3), AXIS)

    assert flare_of(15, 20) > 0.95
    assert flare_of(15, 15) > 0.8
    assert flare_of(21, 13) < 0.6
    assert (
        flare(
            build_grid(volume_of(np.full(shape, MUSCLE_HU))),
            SphereCandidate(center, 23, 0.3),
            AXIS,
        )
        == 1
    )


def test_neck_points_away_from_the_middle_of_the_body() -> None:
    shape = (60, 60, 150)
    hu = np.full(shape, -1000)
    hu[:, :, 10:140] = MUSCLE_HU
    center = np.array([60.0, 50.0, 230.0])
    inward = np.array([0.0, 0.5, -0.87])
    points = np.moveaxis(np.indices(shape), 0, -1) * 2.0 - center
    away = np.linalg.norm(points, axis=-1)
    hu[away < 36] = CORTEX_HU
    hu[away < 28] = MUSCLE_HU
    bone(hu, away, 23, 4)
    bone(hu, distances(shape, center + 21 * inward, inward), 14, 4)
    grid = build_grid(volume_of(hu))
    sphere = SphereCandidate(center, 23.0, 0.3)

    assert find_neck(grid, sphere).axis[2] < 0
    neck, share = outward_neck(grid, sphere)
    assert neck.axis[2] > 0
    assert share < 1
