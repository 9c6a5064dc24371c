"""Covered: every part of a femur cut off by the volume, by a round field of view and by the
corners of an oblique one. Not covered: real bone (tests/integration with real CT)."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.hip_volume import LEFT, RIGHT, cut_circle, put, soft_tissue
from tests.support.rule_results import rejection
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.validation.field_of_view import cut_off, touches_edge, trochanter_warning
from worker.pipeline.volume import Femur, PointMm, Volume

SEEN = replace(RIGHT, trochanter_mm=(-124.0, 7.0, -34.0), shaft_direction=(0.0, 0.0, -1.0))


def text_of(volume: Volume, femur: Femur) -> str:
    reason = rejection(cut_off(volume, femur))
    assert reason is None or reason.code is ReasonCode.NO_FEMUR
    return reason.text if reason else ""


def test_femur_inside_the_volume_is_whole() -> None:
    assert rejection(cut_off(soft_tissue(), RIGHT)) is None
    assert rejection(cut_off(soft_tissue(), SEEN)) is None


@pytest.mark.parametrize(
    ("low", "high", "part"),
    [
        ((-180, -80, -160), (180, 80, 10), "right femoral head"),
        ((-180, -80, -160), (180, 80, 20), "right femoral head"),
        ((-180, 5, -160), (180, 80, 100), "right femoral head"),
        ((-104, -80, -160), (180, 80, 100), "right femoral head"),
        ((-180, -80, -160), (-80, 80, 100), "right femoral head"),
        ((-180, -10, -160), (180, 80, 100), "right femoral neck"),
        ((-132, -80, -160), (180, 80, 100), "right trochanter"),
        ((-180, -80, -42), (180, 80, 100), "right trochanter"),
        ((-180, -80, -52), (180, 80, 100), "right femoral shaft below the trochanter"),
    ],
)
def test_first_part_that_the_volume_cuts_off_is_named(
    low: PointMm, high: PointMm, part: str
) -> None:
    text = text_of(soft_tissue(low, high), RIGHT)

    assert text.startswith(f"The {part} is cut off by the field of view: ")
    assert text.endswith("% of its outline lie outside.")


def test_two_missing_millimeters_of_the_head_are_found() -> None:
    top = RIGHT.center_mm[2] + RIGHT.radius_mm

    assert "head" in text_of(soft_tissue(high=(180, 80, int(top) - 1)), RIGHT)
    assert text_of(soft_tissue(high=(180, 80, int(top) + 7)), RIGHT) == ""


def test_gas_in_the_joint_cuts_nothing_off() -> None:
    volume = soft_tissue()
    put(volume, (-90.0, 0.0, 26.0), 2.5, -1000)

    assert text_of(volume, RIGHT) == ""


def test_a_quarter_of_the_depth_may_be_missing() -> None:
    """The coronal plane through head and neck is still in view."""
    assert text_of(soft_tissue((-180, -14, -160)), RIGHT) == ""


def test_round_field_of_view_cuts_off_like_the_end_of_the_volume() -> None:
    wide, narrow = soft_tissue(), soft_tissue()
    cut_circle(wide, 160)
    cut_circle(narrow, 125)

    assert text_of(wide, RIGHT) == ""
    assert text_of(wide, LEFT) == ""
    assert "right trochanter" in text_of(narrow, RIGHT)
    assert "left trochanter" in text_of(narrow, LEFT)


def test_corner_of_a_turned_series_cuts_off() -> None:
    volume = soft_tissue()
    rows, columns = np.indices(volume.hu.shape[1:])
    volume.hu[:, rows - columns > 30] = -1024

    assert "right" in text_of(volume, RIGHT)
    assert text_of(volume, LEFT) == ""


def test_shaft_is_followed_where_it_goes() -> None:
    """The shaft of a flexed thigh runs forward and needs no field of view below."""
    flexed = replace(SEEN, shaft_direction=(0.0, -1.0, 0.0))
    volume = soft_tissue((-180, -80, -58))

    assert "shaft" in text_of(volume, SEEN)
    assert text_of(volume, flexed) == ""


def test_bone_up_to_the_border_is_noticed_and_muscle_is_not() -> None:
    volume = soft_tissue((-146, -80, -160))

    assert not touches_edge(volume, RIGHT)

    put(volume, (-132.0, 8.0, -30.0), 22, 400)
    assert rejection(cut_off(volume, RIGHT)) is None
    assert touches_edge(volume, RIGHT)


def test_whole_trochanter_does_not_touch_the_border() -> None:
    volume = soft_tissue()
    put(volume, (-132.0, 8.0, -30.0), 22, 400)

    assert not touches_edge(volume, RIGHT)


def test_cut_outer_surface_of_the_trochanter_is_a_warning() -> None:
    volume = soft_tissue((-146, -80, -160))
    put(volume, (-132.0, 8.0, -30.0), 22, 400)

    assert trochanter_warning(volume, [RIGHT, LEFT]) == (
        "Field of view: it ends inside of the outer part of the right trochanter."
    )
    assert trochanter_warning(volume, [LEFT]) is None
