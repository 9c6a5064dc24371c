"""Covered: the axes of coronal volumes, and reformatting of axial ones.
Not covered: oblique series (test_load_oblique).
"""

from pathlib import Path

import numpy as np
import pytest

from tests.support.ct_volume import AXIAL, load_volume, ramp, write_ct
from worker.pipeline import load, reformat
from worker.pipeline.volume import Series, Volume


@pytest.mark.parametrize(
    ("directions", "flips"),
    [
        (((1, 0, 0), (0, 0, -1)), ()),
        (((-1, 0, 0), (0, 0, -1)), (0, 2)),
        (((1, 0, 0), (0, 0, 1)), (0, 1)),
        (((-1, 0, 0), (0, 0, 1)), (1, 2)),
    ],
)
def test_coronal_is_turned_into_canonical_axes_and_every_voxel_keeps_its_place(
    tmp_path: Path, directions: tuple[tuple[float, float, float], ...], flips: tuple[int, ...]
) -> None:
    hu = ramp()
    paths = write_ct(tmp_path, hu, directions=directions, origin=(10.0, -20.0, 30.0))

    series = load.read_series(paths)
    assert isinstance(series, Series)
    volume = load_volume(paths)

    np.testing.assert_array_equal(volume.hu, np.flip(hu, flips))
    np.testing.assert_array_equal(np.argmax(np.abs(volume.affine[:3, :3]), axis=0), [1, 2, 0])
    assert volume.affine[1, 0] > 0 > volume.affine[2, 1]
    assert volume.affine[0, 2] > 0
    first = np.array([11 if 0 in flips else 0, 7 if 1 in flips else 0, 5 if 2 in flips else 0])
    np.testing.assert_allclose(volume.to_mm(first), [10.0, -20.0, 30.0])
    assert volume.source_sop_uids[first[0]] == series.headers[0].SOPInstanceUID


@pytest.mark.parametrize(
    ("directions", "step"),
    [
        (((1, 0, 0), (0, 0, -1)), (0, 3, 0)),
        (((-1, 0, 0), (0, 0, 1)), (0, -3, 0)),
        (((0, 0, -1), (1, 0, 0)), (0, 3, 0)),
        (((1, 0, 0), (0, 1, 0)), (0, 0, 3)),
        (((0, 1, 0), (-1, 0, 0)), (0, 0, -3)),
    ],
)
def test_an_array_that_is_made_for_its_axes_is_turned_without_a_copy(
    directions: tuple[tuple[float, float, float], ...], step: tuple[float, float, float]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.transpose([step, directions[1], directions[0]])
    hu = reformat.empty_array((12, 8, 6), affine)
    hu[:] = ramp()

    volume = reformat.canonical(Volume(hu, affine))

    assert np.shares_memory(volume.hu, hu)
    copied = reformat.canonical(Volume(ramp(), affine))
    np.testing.assert_array_equal(volume.hu, copied.hu)
    np.testing.assert_array_equal(volume.affine, copied.affine)


def test_transposed_coronal_images_are_turned(tmp_path: Path) -> None:
    hu = ramp()
    paths = write_ct(tmp_path, hu, directions=((0, 0, -1), (1, 0, 0)), spacing=(0.9, 0.7))

    volume = load_volume(paths)

    assert volume.hu.shape == (12, 6, 8)
    np.testing.assert_allclose(volume.spacing_mm, [3.0, 0.7, 0.9])
    np.testing.assert_array_equal(volume.hu, hu.transpose(0, 2, 1)[::-1])


@pytest.mark.parametrize("reverse", [False, True])
def test_axial_is_reformatted_to_coronal_at_the_same_places(
    tmp_path: Path, reverse: bool
) -> None:
    """A trilinear function is kept by slab means and linear interpolation."""
    count, rows, columns = 40, 60, 50
    z, y, x = np.indices((count, rows, columns))
    hu = np.rint(z * 2.5 * 4 + y * 0.8 * 3 + x * 0.8 * 2).astype(np.int16)
    order = range(count - 1, -1, -1) if reverse else range(count)
    paths = write_ct(
        tmp_path,
        hu,
        directions=AXIAL,
        origin=(-20.0, -24.0, 5.0),
        step=(0, 0, 2.5),
        order=list(order),
    )

    volume = load_volume(paths)

    index = np.indices(volume.hu.shape).reshape(3, -1).T
    x_mm, y_mm, z_mm = volume.to_mm(index).T
    expected = (z_mm - 5) * 4 + (y_mm + 24) * 3 + (x_mm + 20) * 2
    assert np.abs(volume.hu.ravel() - expected).max() <= 1.5
    assert volume.spacing_mm == pytest.approx((2.4, 0.8, 0.8))
    assert volume.source_sop_uids == ()
    assert volume.to_mm((0, 0, 0))[2] == pytest.approx(5 + 39 * 2.5)


def test_transposed_axial_images_are_reformatted_too(tmp_path: Path) -> None:
    z, x, y = np.indices((12, 30, 40))
    hu = (z * 10 + y * 3 + x * 2).astype(np.int16)
    paths = write_ct(tmp_path, hu, directions=((0, 1, 0), (1, 0, 0)), step=(0, 0, -3))

    volume = load_volume(paths)

    x_mm, y_mm, z_mm = volume.to_mm(np.indices(volume.hu.shape).reshape(3, -1).T).T
    expected = -z_mm / 3 * 10 + y_mm / 0.8 * 3 + x_mm / 0.8 * 2
    assert np.abs(volume.hu.ravel() - expected).max() <= 1.5


def test_coronal_turned_by_a_degree_keeps_its_grid_and_names(tmp_path: Path) -> None:
    turn = np.radians(1)
    along = (float(np.cos(turn)), float(np.sin(turn)), 0.0)
    paths = write_ct(tmp_path, ramp(), directions=(along, (0, 0, -1)))

    volume = load_volume(paths)

    np.testing.assert_array_equal(volume.hu, ramp())
    np.testing.assert_allclose(volume.affine[:3, 2] / 0.8, along, atol=1e-9)
    assert len(volume.source_sop_uids) == 12


def test_many_axial_slices_do_not_need_the_full_volume(tmp_path: Path) -> None:
    """Slabs of three rows are averaged slice by slice: a third of the voxels is kept."""
    hu = np.zeros((64, 30, 30), np.int16)
    volume = load_volume(write_ct(tmp_path, hu, directions=AXIAL, step=(0, 0, 0.8)))

    assert volume.hu.shape == (10, 64, 30)
