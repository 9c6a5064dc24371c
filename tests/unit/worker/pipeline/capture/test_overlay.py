"""Covered: anatomy, heat maps, outlines and grid of the overlay picture.
Not covered: legibility."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.support.factories import make_ct_headers, make_screening, plane_and_crop
from tests.support.hip_phantom import make_volume
from tests.support.report_cases import CASES, METAL, built
from worker.pipeline.capture.heat import HEAT_SHARE, inferno, with_heat
from worker.pipeline.capture.overlay import LABEL_SHARE, Rgb, draw_overlay, label_columns
from worker.pipeline.crop import window
from worker.pipeline.plane_layout import lay_out_planes
from worker.pipeline.results import Hip, NeckAttenuation

RIGHT, LEFT = 0, 1


def drawn(hips: Sequence[Hip]) -> Rgb:
    return draw_overlay(lay_out_planes(hips))


def bare(hip: Hip) -> Hip:
    """Return the same hip without heat map and outlines."""
    return replace(hip, heat_map=None, neck=None, outline_mm=None)


def test_bare_picture_is_the_windowed_source_pixel_by_pixel() -> None:
    hip = bare(make_screening(right=None).hips[0])
    plane, _ = plane_and_crop(hip)
    picture = drawn([hip])

    expected = np.rint(window(plane.hu)).astype(np.uint8)
    assert picture.shape[:2] == plane.hu.shape
    part = slice(60, -40)  # between the marks and the text
    for channel in range(3):
        np.testing.assert_array_equal(picture[part, :, channel], expected[part])


def test_heat_adds_light_and_never_darkens() -> None:
    gray, heat = np.meshgrid(np.arange(256.0), np.linspace(0, 1, 11))
    rgb = with_heat(gray, heat)

    assert (rgb >= gray[..., None] - 1e-9).all()
    np.testing.assert_allclose(rgb[0], gray[0][:, None] + [0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(rgb[-1, 0], HEAT_SHARE * inferno(1.0))
    np.testing.assert_allclose(rgb[:, -1], 255)


def test_heat_map_lies_where_its_crop_lies() -> None:
    heat = np.zeros((250, 250), np.float32)
    heat[110:130, 115:135] = 1
    hip = replace(bare(make_screening(make_ct_headers(size=(512, 700))).hips[0]), heat_map=heat)
    plane, crop = plane_and_crop(hip)
    hot, without = (drawn([h]) for h in (hip, bare(hip)))

    rows, columns = np.nonzero((hot != without).any(axis=2))
    center = rows.mean() + 0.5, columns.mean() + 0.5
    scale = crop.pixel_mm / plane.row_spacing_mm
    expected = crop.row + 120 * scale, crop.col + 125 * scale
    np.testing.assert_allclose(center, expected, atol=0.5)


def test_heat_beside_the_femur_is_not_drawn() -> None:
    heat = np.zeros((250, 250), np.float32)
    heat[20:40, 20:40] = 1
    hip = bare(make_screening(right=None).hips[0])

    np.testing.assert_array_equal(drawn([replace(hip, heat_map=heat)]), drawn([hip]))


def test_each_side_of_the_seam_shows_the_plane_and_heat_of_its_own_hip() -> None:
    right, left = make_screening(planes=(4, 8)).hips
    both = drawn([bare(right), bare(left)])
    hot_left = drawn([bare(right), left])

    below = slice(440, 480)  # below the femurs
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
    right, left = (bare(hip) for hip in screening.hips)
    layout = lay_out_planes([right, left])
    assert layout.seam is not None
    seam, beyond = layout.seam, layout.size[1] - layout.seam

    assert layout.spacing_mm == pytest.approx((0.8, 0.8))
    (right_plane, _), (left_plane, _) = plane_and_crop(right), plane_and_crop(left)
    below = slice(290, 305)  # above the text
    expected = np.hstack(
        [
            np.rint(window(right_plane.hu))[below, :seam],
            np.rint(window(left_plane.hu))[below, -beyond:],
        ]
    )
    shown = drawn([right, left])[below, : layout.size[1], 0]
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


def test_heat_and_outlines_of_a_turned_plane_stay_on_its_own_half() -> None:
    right, left = built("axial, planes turned apart")[0].hips
    layout = lay_out_planes([right, left])
    seam = layout.seam
    assert seam is not None
    hot, without = (
        drawn([bare(right), each])[:, : layout.size[1]] for each in (left, bare(left))
    )

    assert np.nonzero((hot != without).any(axis=(0, 2)))[0].min() >= seam


def test_not_assessable_hip_changes_nothing() -> None:
    alone = drawn(make_screening(right=None).hips)
    beside_metal = drawn(make_screening(right=METAL).hips)

    np.testing.assert_array_equal(alone, beside_metal)


def test_screening_without_graded_hip_has_no_picture() -> None:
    with pytest.raises(ValueError, match="graded hip"):
        lay_out_planes([Hip("R", reason=METAL)])


# Planes that are turned apart or of two series have no common size.
ONE_SIZE = [case for case in CASES if "turned" not in case and "series" not in case]


@pytest.mark.parametrize("case", ONE_SIZE)
def test_picture_has_the_pixels_of_the_plane(case: str) -> None:
    screening, overlay, _ = built(case)
    assert screening.deciding_hip is not None
    plane = screening.deciding_hip.plane
    assert plane is not None

    room = label_columns(lay_out_planes(screening.hips))
    assert (overlay.Rows, overlay.Columns - room) == plane.hu.shape
    assert [float(value) for value in overlay.PixelSpacing] == pytest.approx(
        [plane.row_spacing_mm, plane.column_spacing_mm], abs=1e-6
    )


def test_labels_have_room_beside_a_reformatted_plane_only() -> None:
    narrow = make_ct_headers(
        orientation="axial", slices=60, slice_mm=5.0, size=(128, 256), pixel_mm=(3.2, 1.6)
    )
    layout = lay_out_planes(make_screening(narrow).hips)
    picture = draw_overlay(layout)
    left = layout.halves[-1]
    assert left.hip.outline_mm is not None
    outermost = left.to_picture(left.plane.to_index(left.hip.outline_mm) + 0.5)[:, 1].max()

    assert picture.shape[1] > layout.size[1]
    assert 0 <= picture.shape[1] * (1 - LABEL_SHARE) - outermost < 1
    assert not picture[:, layout.size[1] :].any()
    assert label_columns(lay_out_planes(make_screening().hips)) == 0


def test_planes_of_two_series_keep_their_size_in_mm() -> None:
    hips = built("coronal and axial series")[0].hips
    layout = lay_out_planes(hips)

    for half in layout.halves:
        extent = np.array(half.size) * layout.spacing_mm
        pixel_mm = half.plane.row_spacing_mm, half.plane.column_spacing_mm
        np.testing.assert_allclose(
            extent, np.multiply(half.plane.hu.shape, pixel_mm), atol=layout.spacing_mm[0]
        )


def test_pixels_that_are_not_square_keep_their_grid() -> None:
    headers = make_ct_headers(
        orientation="axial", slices=90, size=(128, 512), pixel_mm=(3.2, 0.8)
    )
    volume = make_volume(headers, square=False)
    layout = lay_out_planes(make_screening(headers, volume=volume, left=None).hips)

    assert layout.spacing_mm == pytest.approx((3.0, 0.8))


def test_outlines_are_thin_and_lie_where_they_were_found() -> None:
    hip = bare(make_screening(right=None).hips[0])
    found = make_screening(right=None).hips[0]
    plane, _ = plane_and_crop(hip)
    assert isinstance(found.neck, NeckAttenuation)
    assert found.outline_mm is not None
    for changes, outline_mm in (
        ({"neck": found.neck}, found.neck.outline_mm),
        ({"outline_mm": found.outline_mm}, found.outline_mm),
    ):
        with_outline = drawn([replace(hip, **changes)])  # type: ignore[arg-type]
        changed = (with_outline != drawn([hip])).any(axis=2)

        index = plane.to_index(outline_mm)
        closed = np.vstack([index, index[:1]])
        length = np.linalg.norm(np.diff(closed, axis=0), axis=1).sum()
        middle = (index.min(axis=0) + index.max(axis=0)) / 2
        where = np.argwhere(changed)
        np.testing.assert_allclose(
            (where.min(axis=0) + where.max(axis=0)) / 2, middle, atol=0.6
        )
        assert 0.6 * length < changed.sum() < 1.3 * length


def test_colors_are_those_of_inferno() -> None:
    colormap = pytest.importorskip("matplotlib").colormaps["inferno"]
    values = np.linspace(0, 1, 101)

    np.testing.assert_allclose(inferno(values), 255 * colormap(values)[:, :3], atol=8)
