"""Covered: metal in, on and beside the femur, what is as dense and no metal, missing hips.
Not covered: metal in whole simulated series (test_screen)."""

from dataclasses import replace

import numpy as np
import pytest

from tests.hip_volume import LEFT, RIGHT, put, put_rod, soft_tissue
from tests.verdicts import against
from worker.pipeline.metal import METAL_MM3, metal, metal_for_hip, midline_mm
from worker.pipeline.results import PointMm, ReasonCode

WITH_SHAFT = replace(
    RIGHT, trochanter_mm=(-122.0, 7.0, -32.0), shaft_direction=(0.0, 0.0, -1.0)
)


def test_muscle_holds_no_metal() -> None:
    assert against(metal(soft_tissue(), RIGHT)) is None


def test_prosthesis_in_one_hip_leaves_the_other_gradable() -> None:
    volume = soft_tissue()
    put(volume, LEFT.center_mm, 16, 3071)

    reason = against(metal(volume, LEFT))

    assert reason is not None
    assert reason.code is ReasonCode.METAL
    assert reason.text == "16.9 ml of metal at the left hip."
    assert against(metal(volume, RIGHT)) is None


def test_nail_in_one_hip_leaves_the_other_gradable() -> None:
    volume = soft_tissue()
    put_rod(volume, (-122, 7, -20), (-122, 7, -155), 6, 3071)
    put_rod(volume, (-84, -1, 6), (-132, 8, -40), 5, 3071)

    assert against(metal(volume, WITH_SHAFT)) is not None
    assert against(metal(volume, LEFT)) is None


def test_thin_screw_diluted_by_thick_slices_is_metal_in_the_core_of_the_neck() -> None:
    volume = soft_tissue()
    put_rod(volume, RIGHT.center_mm, RIGHT.neck_mm, 2.5, 1800)

    assert against(metal(volume, RIGHT)) is not None


def test_plate_on_the_shaft_is_metal_where_the_shaft_was_seen() -> None:
    volume = soft_tissue()
    put_rod(volume, (-140, 7, -60), (-140, 7, -130), 4, 3071)

    assert against(metal(volume, WITH_SHAFT)) is not None


def test_nail_whose_tip_ends_below_the_picture_of_the_hip_is_left_out() -> None:
    volume = soft_tissue((-180, -80, -240))
    put_rod(volume, (-122, 7, -185), (-122, 7, -238), 6, 3071)

    assert against(metal(volume, WITH_SHAFT)) is None


def test_acetabular_screws_at_the_joint_are_metal_and_those_of_the_sacrum_are_not() -> None:
    volume = soft_tissue()
    put_rod(volume, (-66, 5, 16), (-60, 10, 40), 3, 3071)
    sacral = soft_tissue()
    put_rod(sacral, (-50, 60, 60), (20, 60, 60), 4, 3071)

    assert against(metal(volume, RIGHT)) is not None
    assert against(metal(sacral, RIGHT)) is None
    assert against(metal(sacral, LEFT)) is None


def test_metal_that_was_clipped_to_a_low_scale_is_a_plateau() -> None:
    volume = soft_tissue()
    put(volume, RIGHT.center_mm, 16, 3071)
    volume.hu[:] = np.minimum(volume.hu, 1600)

    assert against(metal(volume, RIGHT)) is not None
    assert against(metal(volume, LEFT)) is None


@pytest.mark.parametrize(
    ("center", "radius", "hu"),
    [
        ((-116.0, 4.0, -40.0), 12, 1900),
        ((0.0, 0.0, 0.0), 38, 2950),
        ((-62.0, -30.0, 5.0), 12, 2700),
        ((-70.0, 20.0, 20.0), 2, 3000),
        ((-75.0, -36.0, 0.0), 3, 1800),
        ((-88.0, 0.0, 2.0), 5, 1350),
    ],
    ids=[
        "cortex", "bladder full of contrast", "barium in a hernia", "one clip",
        "calcified artery", "bone island in the head",
    ],
)  # fmt: skip
def test_dense_things_that_are_not_metal(center: PointMm, radius: float, hu: float) -> None:
    volume = soft_tissue()
    put(volume, center, radius, hu)

    assert against(metal(volume, WITH_SHAFT)) is None


def test_less_than_the_smallest_screw_is_ignored() -> None:
    volume = soft_tissue()
    put(volume, RIGHT.neck_mm, (METAL_MM3 / 8) ** (1 / 3), 3071)

    assert against(metal(volume, RIGHT)) is None


def test_prosthesis_in_place_of_a_hip_is_named_on_its_side_only() -> None:
    volume = soft_tissue()
    put(volume, LEFT.center_mm, 16, 3071)

    reason = metal_for_hip(volume, "L", ())

    assert reason is not None
    assert reason.text == "17 ml of metal in place of the left hip."
    assert metal_for_hip(volume, "R", ()) is None


def test_metal_far_above_the_other_hip_replaces_none() -> None:
    volume = soft_tissue((-180, -80, -160), (180, 80, 200))
    put(volume, (90.0, 0.0, 150.0), 16, 3071)

    assert metal_for_hip(volume, "L", (RIGHT,)) is None


def test_barium_in_the_bowel_is_no_prosthesis() -> None:
    volume = soft_tissue()
    put(volume, (90.0, 0.0, 30.0), 25, 2900)

    assert metal_for_hip(volume, "L", ()) is None


def test_middle_of_the_body_counts_and_not_that_of_the_volume() -> None:
    volume = soft_tissue()
    volume.hu[:, :, :60] = -1024
    volume.hu[:, :, -10:] = -1024

    assert midline_mm(volume) == pytest.approx(50, abs=9)


def test_middle_of_the_scanner_counts_where_the_body_is_cut_off() -> None:
    assert midline_mm(soft_tissue((20, -80, -160))) == 0
