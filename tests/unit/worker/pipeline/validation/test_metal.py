"""Covered: metal in, on and beside the femur, dense matter that is no metal, missing hips.
Not covered: metal in whole simulated series (test_screen)."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.hip_volume import LEFT, RIGHT, put, put_rod, soft_tissue
from tests.support.rule_results import rejection
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.validation.metal import (
    METAL_MM3,
    metal_at_hip,
    metal_in_place_of_hip,
    midline_mm,
)
from worker.pipeline.volume import PointMm, Volume

WITH_SHAFT = replace(
    RIGHT, trochanter_mm=(-122.0, 7.0, -32.0), shaft_direction=(0.0, 0.0, -1.0)
)


def metal_at_right_hip(ml: float) -> Reason:
    return Reason(ReasonCode.METAL, f"{ml} ml of metal at the right hip.")


def test_muscle_holds_no_metal() -> None:
    assert rejection(metal_at_hip(soft_tissue(), RIGHT)) is None


@pytest.mark.covers("H7")
def test_prosthesis_in_one_hip_leaves_the_other_gradable() -> None:
    volume = soft_tissue()
    put(volume, LEFT.center_mm, 16, 3071)

    assert metal_at_hip(volume, LEFT) == Reason(
        ReasonCode.METAL, "16.9 ml of metal at the left hip."
    )
    assert rejection(metal_at_hip(volume, RIGHT)) is None


def test_nail_in_one_hip_leaves_the_other_gradable() -> None:
    volume = soft_tissue()
    put_rod(volume, (-122, 7, -20), (-122, 7, -155), 6, 3071)
    put_rod(volume, (-84, -1, 6), (-132, 8, -40), 5, 3071)

    assert metal_at_hip(volume, WITH_SHAFT) == metal_at_right_hip(19.6)
    assert rejection(metal_at_hip(volume, LEFT)) is None


@pytest.mark.covers("H7")
def test_thin_screw_diluted_by_thick_slices_is_metal_in_the_core_of_the_neck() -> None:
    volume = soft_tissue()
    put_rod(volume, RIGHT.center_mm, RIGHT.neck_mm, 2.5, 1800)

    assert metal_at_hip(volume, RIGHT) == metal_at_right_hip(0.5)


def test_plate_on_the_shaft_is_metal_where_the_shaft_was_seen() -> None:
    volume = soft_tissue()
    put_rod(volume, (-140, 7, -60), (-140, 7, -130), 4, 3071)

    assert metal_at_hip(volume, WITH_SHAFT) == metal_at_right_hip(3.6)


def test_nail_whose_tip_ends_below_the_picture_of_the_hip_is_left_out() -> None:
    volume = soft_tissue((-180, -80, -240))
    put_rod(volume, (-122, 7, -185), (-122, 7, -238), 6, 3071)

    assert rejection(metal_at_hip(volume, WITH_SHAFT)) is None


def test_acetabular_screws_at_the_joint_are_metal_and_those_of_the_sacrum_are_not() -> None:
    volume = soft_tissue()
    put_rod(volume, (-66, 5, 16), (-60, 10, 40), 3, 3071)
    sacral = soft_tissue()
    put_rod(sacral, (-50, 60, 60), (20, 60, 60), 4, 3071)

    assert metal_at_hip(volume, RIGHT) == metal_at_right_hip(0.7)
    assert rejection(metal_at_hip(sacral, RIGHT)) is None
    assert rejection(metal_at_hip(sacral, LEFT)) is None


def test_metal_that_was_clipped_to_a_low_scale_is_a_plateau() -> None:
    volume = soft_tissue()
    put(volume, RIGHT.center_mm, 16, 3071)
    volume.hu[:] = np.minimum(volume.hu, 1600)

    assert metal_at_hip(volume, RIGHT) == metal_at_right_hip(16.9)
    assert rejection(metal_at_hip(volume, LEFT)) is None


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

    assert rejection(metal_at_hip(volume, WITH_SHAFT)) is None


def test_less_than_the_smallest_screw_is_ignored() -> None:
    volume = soft_tissue()
    put(volume, RIGHT.neck_mm, (METAL_MM3 / 8) ** (1 / 3), 3071)

    assert rejection(metal_at_hip(volume, RIGHT)) is None


def with_prosthesis(volume: Volume) -> Volume:
    """Put a head of metal into the bone of a left hip."""
    put(volume, LEFT.center_mm, 28, 500)
    put(volume, LEFT.center_mm, 16, 3071)
    return volume


def put_lungs(volume: Volume, low: float, high: float) -> None:
    rows = volume.to_index([(0, 0, high), (0, 0, low)])[:, 1].astype(int)
    volume.hu[30:50, slice(*rows), 30:150] = -850


def test_prosthesis_in_place_of_a_hip_is_named_on_its_side_only() -> None:
    volume = with_prosthesis(soft_tissue())

    text = "17 ml of metal in place of the left hip."
    assert metal_in_place_of_hip(volume, "L", ()) == Reason(ReasonCode.METAL, text)
    assert metal_in_place_of_hip(volume, "R", ()) is None


def test_metal_far_above_the_other_hip_replaces_none() -> None:
    volume = soft_tissue((-180, -80, -160), (180, 80, 200))
    put(volume, (90.0, 0.0, 150.0), 16, 3071)

    assert metal_in_place_of_hip(volume, "L", (RIGHT,)) is None


def test_barium_in_the_bowel_is_no_prosthesis() -> None:
    volume = soft_tissue()
    put(volume, (90.0, 0.0, 30.0), 25, 2900)

    assert metal_in_place_of_hip(volume, "L", ()) is None


def test_barium_as_dense_as_metal_is_no_prosthesis_without_bone_around_it() -> None:
    volume = soft_tissue()
    put_rod(volume, (90.0, 40.0, 60.0), (110.0, 40.0, -20.0), 10, 500)
    put(volume, (90.0, -20.0, 30.0), 25, 3071)

    assert metal_in_place_of_hip(volume, "L", ()) is None


def test_metal_beside_or_above_the_lungs_replaces_no_hip() -> None:
    beside, above, below = (
        with_prosthesis(soft_tissue((-180, -80, -160), (180, 80, 300))) for _ in range(3)
    )
    put_lungs(beside, -40, 60)
    put_lungs(above, -150, -60)
    put_lungs(below, 190, 290)

    assert metal_in_place_of_hip(beside, "L", ()) is None
    assert metal_in_place_of_hip(above, "L", ()) is None
    assert metal_in_place_of_hip(below, "L", ()) is not None


def test_lung_cut_by_the_field_of_view_is_a_lung() -> None:
    cut = with_prosthesis(soft_tissue((-180, -80, -160), (180, 80, 300)))
    rows = cut.to_index([(0, 0, 60), (0, 0, -40)])[:, 1].astype(int)
    cut.hu[30:, slice(*rows), 30:120] = -850

    assert metal_in_place_of_hip(cut, "L", ()) is None


def test_foam_below_the_patient_is_no_lung() -> None:
    volume = with_prosthesis(soft_tissue((-180, -120, -160), (180, 120, 100)))
    volume.hu[90:] = -850

    assert metal_in_place_of_hip(volume, "L", ()) is not None


def test_metal_in_an_arm_beside_the_pelvis_replaces_no_hip() -> None:
    volume = soft_tissue((-220, -80, -160), (220, 80, 100))
    put(volume, (190.0, 0.0, 0.0), 22, 500)
    put(volume, (190.0, 0.0, 0.0), 10, 3071)

    assert metal_in_place_of_hip(volume, "L", ()) is None


def test_prosthesis_opposite_a_hip_needs_no_bone_in_view() -> None:
    volume = soft_tissue()
    put(volume, LEFT.center_mm, 16, 3071)

    assert metal_in_place_of_hip(volume, "L", (RIGHT,)) is not None


def test_middle_of_the_body_counts_and_not_that_of_the_volume() -> None:
    volume = soft_tissue()
    volume.hu[:, :, :60] = -1024
    volume.hu[:, :, -10:] = -1024

    assert midline_mm(volume) == pytest.approx(50, abs=9)


def test_middle_of_the_scanner_counts_where_the_body_is_cut_off() -> None:
    assert midline_mm(soft_tissue((20, -80, -160))) == 0
