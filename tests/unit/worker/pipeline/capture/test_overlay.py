"""Covered: anatomy, heat maps, outlines and size of the picture of the hips.
Not covered: legibility."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.factories import make_ct_headers, make_screening, plane_and_crop
from tests.support.hip_phantom import make_volume
from tests.support.report_cases import CASES, METAL, built
from worker.pipeline.capture.draw import draw_anatomy, inferno
from worker.pipeline.crop import window
from worker.pipeline.plane_layout import lay_out_planes
from worker.pipeline.results import (
    Hip,
    NeckAttenuation,
)

RIGHT, LEFT = 0, 1
AMBER = (255, 190, 0)


def cold(hip: Hip) -> Hip:
    """Return the same hip with a heat map of zeros."""
    return replace(hip, heat_map=np.zeros((250, 250), np.float32))


def test_anatomy_outside_the_boxes_is_the_windowed_source_pixel_by_pixel() -> None:
    screening = make_screening(right=None)
    plane, crop = plane_and_crop(screening.hips[0])
    picture = draw_anatomy(screening.hips).pixels

    expected = np.rint(window(plane.hu)).astype(np.uint8)
    part = slice(60, None), slice(60, int(crop.col))  # below the mark R, beside the box
    assert expected[part].size > 10_000
    for channel in range(3):
        np.testing.assert_array_equal(picture[..., channel][part], expected[part])


def test_heat_is_blended_at_three_tenths_inside_the_box() -> None:
    screening = make_screening(right=None, neck_hu=None)
    hip = replace(screening.hips[0], heat_map=np.ones((250, 250), np.float32))
    plane, crop = plane_and_crop(hip)
    row, column = int(crop.row) + 100, int(crop.col) + 100
    picture = draw_anatomy([hip]).pixels

    gray = window(plane.hu)[row, column]
    np.testing.assert_allclose(picture[row, column], 0.7 * gray + 0.3 * inferno(1.0), atol=1)


def test_heat_map_lies_where_its_crop_lies() -> None:
    heat = np.zeros((250, 250), np.float32)
    heat[40:60, 180:200] = 1
    hip = make_screening(make_ct_headers(size=(512, 700)), right=None, neck_hu=None).hips[0]
    plane, crop = plane_and_crop(hip)
    hot, without = (draw_anatomy([h]).pixels for h in (replace(hip, heat_map=heat), cold(hip)))

    rows, columns = np.nonzero((hot != without).any(axis=2))
    center = rows.mean() + 0.5, columns.mean() + 0.5
    scale = crop.pixel_mm / plane.row_spacing_mm
    expected = crop.row + 50 * scale, crop.col + 190 * scale
    np.testing.assert_allclose(center, expected, atol=0.5)


def test_each_side_of_the_seam_shows_the_plane_and_heat_of_its_own_hip() -> None:
    right, left = make_screening(planes=(4, 8), neck_hu=None).hips
    both = draw_anatomy([cold(right), cold(left)]).pixels
    hot_left = draw_anatomy([cold(right), left]).pixels

    below = slice(450, None)  # below the boxes
    right_gray, left_gray = (
        np.rint(window(plane_and_crop(hip)[0].hu))[below] for hip in (right, left)
    )
    assert (right_gray != left_gray).any()
    np.testing.assert_array_equal(both[below, :250, 0], right_gray[:, :250])
    np.testing.assert_array_equal(both[below, 262:, 0], left_gray[:, 262:])
    changed = np.nonzero((both != hot_left).any(axis=(0, 2)))[0]
    assert changed.min() >= 255


def test_planes_turned_apart_are_joined_at_the_midline_and_keep_their_pixels() -> None:
    screening = built("axial, planes turned apart")[0]
    right, left = (cold(replace(hip, neck=None)) for hip in screening.hips)
    picture = draw_anatomy([right, left])
    layout = lay_out_planes([right, left])
    assert layout.seam is not None
    seam, beyond = layout.seam, layout.size[1] - layout.seam

    assert picture.column_spacing_mm == pytest.approx(0.8)
    (right_plane, _), (left_plane, _) = plane_and_crop(right), plane_and_crop(left)
    below = slice(315, None)  # below the boxes
    expected = np.hstack(
        [
            np.rint(window(right_plane.hu))[below, :seam],
            np.rint(window(left_plane.hu))[below, -beyond:],
        ]
    )
    shown = picture.pixels[below, :, 0]
    assert len(shown) > 10
    np.testing.assert_array_equal(shown[:, : seam - 1], expected[:, : seam - 1])
    np.testing.assert_array_equal(shown[:, seam + 1 :], expected[:, seam + 1 :])
    # Both planes pass the seam at one place from right to left: the middle of the patient.
    first_left = left_plane.hu.shape[1] - beyond
    x_mm = [
        plane.to_mm((0, column - 0.5))[0]
        for plane, column in ((right_plane, seam), (left_plane, first_left))
    ]
    np.testing.assert_allclose(x_mm, 0, atol=2)
    assert x_mm[0] == pytest.approx(x_mm[1], abs=0.8)


def test_coarse_planes_turned_apart_are_magnified_alike() -> None:
    hips = built("axial, planes turned apart, coarse")[0].hips
    layout = lay_out_planes(hips)

    assert layout.size[1] >= 512
    assert layout.size == draw_anatomy(hips).pixels.shape[:2]
    for half in layout.halves:
        extent = np.array(half.size) * layout.spacing_mm
        pixel_mm = half.plane.row_spacing_mm, half.plane.column_spacing_mm
        np.testing.assert_allclose(extent, np.multiply(half.plane.hu.shape, pixel_mm))


def test_heat_of_a_turned_plane_stays_on_its_own_half() -> None:
    right, left = built("axial, planes turned apart")[0].hips
    seam = lay_out_planes([right, left]).seam
    assert seam is not None
    everywhere = np.ones((250, 250), np.float32)
    hot = draw_anatomy([cold(right), replace(left, heat_map=everywhere)]).pixels
    without = draw_anatomy([cold(right), cold(left)]).pixels

    assert np.nonzero((hot != without).any(axis=(0, 2)))[0].min() >= seam


def test_not_assessable_hip_adds_no_heat_and_no_box() -> None:
    alone = draw_anatomy(make_screening(right=None).hips).pixels
    beside_metal = draw_anatomy(make_screening(right=METAL).hips).pixels

    np.testing.assert_array_equal(alone, beside_metal)


def test_screening_without_graded_hip_has_no_picture() -> None:
    with pytest.raises(ValueError, match="graded hip"):
        draw_anatomy([Hip("R", reason=METAL)])


# Planes that are turned apart or of two series have no common size.
ONE_SIZE = [case for case in CASES if "turned" not in case and "series" not in case]


@pytest.mark.parametrize("case", ONE_SIZE)
def test_pixel_spacing_gives_the_size_of_the_anatomy(case: str) -> None:
    screening, capture, _ = built(case)
    plane = screening.deciding_hip.plane
    assert plane is not None
    rows, columns, _ = draw_anatomy(screening.hips).pixels.shape

    row_mm, column_mm = (float(value) for value in capture.PixelSpacing)
    assert rows * row_mm == pytest.approx(plane.hu.shape[0] * plane.row_spacing_mm, 1e-4)
    assert columns * column_mm == pytest.approx(
        plane.hu.shape[1] * plane.column_spacing_mm, 1e-4
    )
    assert row_mm == pytest.approx(column_mm, rel=0.005)
    assert columns >= 512


def test_small_plane_is_magnified_by_whole_pixels() -> None:
    headers = make_ct_headers(size=(256, 256), pixel_mm=(1.8, 1.8))
    screening = make_screening(headers, right=None, neck_hu=None)
    plane, _ = plane_and_crop(screening.hips[0])
    picture = draw_anatomy(screening.hips).pixels

    part = np.rint(window(plane.hu))[100:, 40:100]
    expected = np.repeat(np.repeat(part, 2, axis=0), 2, axis=1)
    np.testing.assert_array_equal(picture[200:, 80:200, 0], expected)


def test_femoral_head_is_round_where_the_plane_is_not_square() -> None:
    headers = make_ct_headers(
        orientation="axial", slices=90, size=(128, 512), pixel_mm=(3.2, 0.8)
    )
    volume = make_volume(headers, square=False)
    screening = make_screening(headers, volume=volume, left=None, neck_hu=None)
    hip = cold(screening.hips[0])
    plane, _ = plane_and_crop(hip)
    assert plane.row_spacing_mm == pytest.approx(3.0)
    picture = draw_anatomy([hip])

    bone = picture.pixels[..., 0] > 0.7 * window(np.array([500.0]))[0]
    head_row, head_column = plane.to_index((-92.0, 2.0, 0.0))
    row = round((head_row + 0.5) * 3.0 / picture.row_spacing_mm)
    column = round((head_column + 0.5) * 0.8 / picture.column_spacing_mm)
    # The outermost cortex upwards and toward the midline, within 30 mm.
    upwards = np.flatnonzero(bone[row - 37 : row + 1, column][::-1]).max()
    inwards = np.flatnonzero(bone[row, column : column + 38]).max()
    assert upwards * picture.row_spacing_mm == pytest.approx(23, abs=2.5)
    assert inwards * picture.column_spacing_mm == pytest.approx(23, abs=2.5)


def test_neck_outline_is_thin_and_lies_where_it_was_measured() -> None:
    hip = cold(make_screening(right=None).hips[0])
    plane, _ = plane_and_crop(hip)
    assert isinstance(hip.neck, NeckAttenuation)
    with_outline, without = (
        draw_anatomy([each]).pixels for each in (hip, replace(hip, neck=None))
    )

    changed = (with_outline != without).any(axis=2)
    expected = plane.to_index(hip.neck.outline_mm).mean(axis=0)
    np.testing.assert_allclose(np.argwhere(changed).mean(axis=0), expected, atol=0.6)
    # A ring of 6.5 mm radius, one pixel wide.
    assert changed.sum() < 1.3 * 2 * np.pi * 6.5 / plane.row_spacing_mm


def test_colors_are_those_of_inferno() -> None:
    colormap = pytest.importorskip("matplotlib").colormaps["inferno"]
    values = np.linspace(0, 1, 101)

    np.testing.assert_allclose(inferno(values), 255 * colormap(values)[:, :3], atol=8)
