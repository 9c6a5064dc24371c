"""Covered: oblique series become volumes along the patient's axes.
Not covered: the accepted angles (test_eligibility)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.ct_volume import AXIAL, CORONAL, Point, load_series, write_ct
from worker.pipeline import reformat
from worker.pipeline.volume_layout import PLANE_DISTANCE_MM

CENTER = np.array([4.0, -6.0, 9.0])
SPHERE_MM = np.array([9.0, -14.0, 1.0])
RADIUS_MM = 12.0
SHAPES = {AXIAL: (40, 64, 56), CORONAL: (26, 60, 64)}


def turn(axis: int, degrees: float) -> npt.NDArray[np.float64]:
    """Return the (3, 3) rotation about x, y or z."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = [each for each in range(3) if each != axis]
    matrix = np.eye(3)
    matrix[[first, second, first, second], [first, second, second, first]] = (
        cosine, cosine, -sine, sine
    )  # fmt: skip
    return matrix


def field(points_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return HU of a soft sphere in a gradient, so that values identify positions."""
    distance = np.linalg.norm(points_mm - SPHERE_MM, axis=-1)
    return 400 / (1 + np.exp((distance - RADIUS_MM) / 1.5)) + points_mm @ (2.0, -1.5, 1.0)


def write_turned(
    folder: Path,
    plane: tuple[Point, Point],
    rotation: npt.NDArray[np.float64],
    *,
    step_mm: float = 2.0,
    pixel_mm: float = 1.0,
) -> list[Path]:
    """Write slices of ``field`` on a rotated grid about ``CENTER``."""
    columns, rows = rotation @ np.array(plane, float).T[:, 0], rotation @ np.array(plane[1])
    steps = np.stack([np.cross(columns, rows) * step_mm, rows * pixel_mm, columns * pixel_mm])
    shape = SHAPES[plane]
    origin = CENTER - (np.array(shape) - 1) / 2 @ steps
    points = np.moveaxis(np.indices(shape), 0, -1) @ steps + origin
    return write_ct(
        folder,
        np.rint(field(points)).astype(np.int16),
        directions=(_point(columns), _point(rows)),
        origin=_point(origin),
        step=_point(steps[0]),
        spacing=(pixel_mm, pixel_mm),
        order=np.random.default_rng(3).permutation(shape[0]).tolist(),
    )


def _point(vector: npt.NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in vector)
    return x, y, z


@pytest.mark.parametrize("degrees", [5, 12, -18])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("plane", [AXIAL, CORONAL], ids=["axial", "coronal"])
def test_oblique_series_becomes_a_volume_along_the_patient_axes(
    tmp_path: Path, plane: tuple[Point, Point], axis: int, degrees: float
) -> None:
    volume = load_series(write_turned(tmp_path, plane, turn(axis, degrees)))[1]

    directions = volume.affine[:3, :3] / volume.spacing_mm
    np.testing.assert_allclose(directions, reformat.CANONICAL_AXES.T, atol=1e-12)
    assert volume.spacing_mm == pytest.approx((PLANE_DISTANCE_MM, 1.0, 1.0))
    assert volume.source_sop_uids == ()
    points = volume.to_mm(np.moveaxis(np.indices(volume.hu.shape), 0, -1))
    acquired = volume.hu != -1024
    # The edge of the sphere is a few mm wide: slabs and interpolation soften it a little.
    error = np.abs(volume.hu - field(points))[acquired]
    assert np.percentile(error, 99) < 35
    sphere = acquired & (volume.hu - points @ (2.0, -1.5, 1.0) > 200)
    np.testing.assert_allclose(points[sphere].mean(axis=0), SPHERE_MM, atol=0.3)
    volume_mm3 = sphere.sum() * np.prod(volume.spacing_mm)
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * RADIUS_MM**3, rel=0.03)


def test_oblique_volume_holds_everything_that_was_acquired_and_air_elsewhere(
    tmp_path: Path,
) -> None:
    volume = load_series(write_turned(tmp_path, CORONAL, turn(2, 15)))[1]

    shape, steps = np.array(SHAPES[CORONAL]) - 1, np.array([2.0, 1.0, 1.0])
    acquired_mm3 = np.prod(shape * steps)
    found_mm3 = (volume.hu != -1024).sum() * np.prod(volume.spacing_mm)
    assert found_mm3 == pytest.approx(acquired_mm3, rel=0.02)
    assert (volume.hu[0, 0, [0, -1]] == -1024).any()


def test_oblique_series_of_thin_axial_slices_is_averaged_in_slabs(tmp_path: Path) -> None:
    """Noise falls as in a slab, as in the planes of other axial series."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 50, (40, 60, 60)).astype(np.int16)
    along = _point(turn(0, 10) @ np.array([0.0, 1.0, 0.0]))
    paths = write_ct(
        tmp_path, noise, directions=((1, 0, 0), along), spacing=(0.5, 0.5),
        step=_point(turn(0, 10) @ np.array([0.0, 0.0, 0.5])),
    )  # fmt: skip

    _, volume = load_series(paths)

    values = volume.hu[volume.hu != -1024]
    assert values.std() < 50 / np.sqrt(round(PLANE_DISTANCE_MM / 0.5))
