"""Covered: the planes that are graded: cuts through head and neck, nearest coronal slice."""

import numpy as np
import pytest

from tests.support.hip_volume import volume_of
from worker.pipeline.femurs.planes import PARAMETERS as PLANE_PARAMETERS
from worker.pipeline.femurs.planes import cut_through, graded_cuts, nearest_slice
from worker.pipeline.volume import Femur, PointMm, Volume


def oblique_femur(backward_mm: float) -> tuple[Volume, Femur]:
    """Return a volume whose HU are the distance from its front, and a left femur in it."""
    hu = np.broadcast_to(np.arange(80)[:, None, None] * 25, (80, 50, 120)).copy()
    center: PointMm = (90.0, 100.0, -15.0)
    neck: PointMm = (110.0, 100.0 + backward_mm, -35.0)
    return volume_of(hu, (2.5, 1.0, 1.0)), Femur("L", center, 23.0, neck, 1.0)


def test_cut_runs_through_the_centers_of_head_and_neck() -> None:
    volume, femur = oblique_femur(backward_mm=8.0)

    plane = cut_through(volume, femur)

    for point in (femur.center_mm, femur.neck_mm):
        np.testing.assert_allclose(plane.to_mm(plane.to_index(point)), point, atol=1e-6)
        row, column = np.rint(plane.to_index(point)).astype(int)
        # HU of the source grow by 10 a millimeter backward.
        assert plane.hu[row, column] == pytest.approx(point[1] * 10, abs=6)
    assert plane.row_direction == (0.0, 0.0, -1.0)
    assert np.linalg.norm(plane.column_direction) == pytest.approx(1)
    assert plane.row_spacing_mm == plane.column_spacing_mm == 1.0
    assert plane.source_sop_uid is None


def test_cut_is_tilted_no_further_than_a_coronal_plane_may_be() -> None:
    volume, femur = oblique_femur(backward_mm=40.0)

    across = cut_through(volume, femur).column_direction

    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(
        PLANE_PARAMETERS.max_tilt_deg
    )


def test_graded_cuts_are_parallel_and_lie_around_head_and_neck() -> None:
    volume, femur = oblique_femur(backward_mm=8.0)
    row, column = np.rint(cut_through(volume, femur).to_index(femur.neck_mm)).astype(int)

    cuts = graded_cuts(volume, femur)

    assert len({cut.column_direction for cut in cuts}) == 1
    behind_mm = [cut.hu[row, column] / 10 - femur.neck_mm[1] for cut in cuts]
    np.testing.assert_allclose(behind_mm, PLANE_PARAMETERS.graded_mm, atol=0.6)
    assert cuts[1].position_mm == cut_through(volume, femur).position_mm


def test_graded_cuts_do_not_depend_on_where_the_slices_lie() -> None:
    volume, femur = oblique_femur(backward_mm=8.0)
    moved = Volume(volume.hu, volume.affine.copy())
    moved.affine[1, 3] += 1.0  # the slices, and with them all HU, lie 1 mm further back

    for cut, other in zip(graded_cuts(volume, femur), graded_cuts(moved, femur), strict=True):
        np.testing.assert_allclose(cut.to_mm((3, 7)), other.to_mm((3, 7)), atol=1e-6)
        np.testing.assert_allclose(cut.hu - other.hu, 10, atol=1)


def test_cut_is_air_outside_the_volume() -> None:
    volume, femur = oblique_femur(backward_mm=11.0)
    shallow = Volume(volume.hu[34:50], volume.affine.copy())
    shallow.affine[1, 3] = 34 * 2.5

    plane = cut_through(shallow, femur)

    assert plane.hu[10, 0] == -1024
    assert plane.hu[10, 95] > 900


def test_slice_of_a_coronal_series_is_the_nearest_to_the_neck() -> None:
    volume, femur = oblique_femur(backward_mm=10.0)

    plane = nearest_slice(volume, femur)

    assert abs(plane.position_mm[1] - femur.neck_mm[1]) < 3
    np.testing.assert_array_equal(plane.hu, volume.hu[plane.index])
