"""Covered: steps across the body axis at a hip, slanting bone without motion, small fields
of view. Not covered: motion of real patients."""

from functools import cache

import numpy as np
import pytest

from tests.support.hip_volume import LEFT, RIGHT, VOXEL_MM, put, put_rod, soft_tissue
from worker.pipeline.motion import MOTION_WARNING_MM, motion_warning, step_mm
from worker.pipeline.volume import Volume


@cache
def with_bones(noise_hu: float = 10) -> Volume:
    """Return head, slanting neck, shaft, pelvis and fat between the muscles on both sides."""
    volume = soft_tissue(noise_hu=noise_hu)
    for femur, out in ((RIGHT, -1), (LEFT, 1)):
        x = femur.center_mm[0]
        for across, depth in (
            (-50, -40),
            (-15, -50),
            (20, -45),
            (45, -20),
            (30, 45),
            (-20, 50),
        ):
            put_rod(volume, (x + across, depth, 90), (x + across, depth, -150), 9, -100)
        put(volume, femur.center_mm, 23, 450)
        put_rod(volume, femur.center_mm, (x + out * 38, 8, -36), 12, 400)
        put_rod(volume, (x + out * 38, 8, -36), (x + out * 30, 4, -150), 11, 900)
        put_rod(volume, (x - out * 30, 10, 5), (x, -10, 60), 10, 600)
    return volume


def moved(volume: Volume, columns: int, slices: int, below_mm: float = -20.0) -> Volume:
    """Return the volume shifted by whole voxels below a height."""
    row = round(float(volume.to_index((0, 0, below_mm))[1]))
    hu = volume.hu.copy()
    hu[:, row:] = np.roll(hu[:, row:], (slices, columns), axis=(0, 2))
    return Volume(hu, volume.affine)


def test_slanting_bones_are_no_motion() -> None:
    assert motion_warning(with_bones(), [RIGHT, LEFT]) is None


@pytest.mark.parametrize(("columns", "slices"), [(3, 0), (-3, 0), (0, 3), (0, -3), (2, 2)])
def test_step_of_some_millimeters_is_noticed(columns: int, slices: int) -> None:
    step = step_mm(moved(with_bones(), columns, slices), RIGHT)

    assert step is not None
    assert step > MOTION_WARNING_MM
    assert step == pytest.approx(VOXEL_MM * np.hypot(columns, slices), abs=2.5)


def test_both_sides_are_named_with_their_step() -> None:
    warning = motion_warning(moved(with_bones(), 3, 0), [RIGHT, LEFT])

    assert warning is not None
    assert warning.startswith("Motion: from one height to the next the images shift by ")
    assert "mm at the right hip, " in warning
    assert warning.endswith("mm at the left hip.")


def test_motion_far_from_the_hip_does_not_count() -> None:
    assert motion_warning(moved(with_bones(), 3, 0, below_mm=-120), [RIGHT]) is None


def test_noise_is_no_motion() -> None:
    assert motion_warning(with_bones(noise_hu=90), [RIGHT, LEFT]) is None


def test_too_little_in_view_has_no_step() -> None:
    assert step_mm(soft_tissue((-180, -80, -10), (180, 80, 20)), RIGHT) is None


def test_nothing_but_one_value_has_no_step() -> None:
    volume = soft_tissue(noise_hu=0)

    assert step_mm(volume, RIGHT) == 0
