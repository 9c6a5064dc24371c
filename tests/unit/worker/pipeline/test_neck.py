"""Covered: the region in the neck on phantoms of known cortex, blur and filling; its absence.

Not covered: anatomy (simulated and real hips are measured in ``tests/bench``).
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path
from scipy.ndimage import gaussian_filter

from worker.pipeline.neck import neck_attenuation, pixels_inside
from worker.pipeline.results import NeckAttenuation, NeckNotMeasured
from worker.pipeline.volume import Femur, Plane, PointMm

Floats = npt.NDArray[np.float64]

# The neck runs down and to the left of the picture at 45°; this is its center.
NECK_MM = (-100.0, 12.0, 50.0)
RADIUS_MM = 23.0
FEMUR = Femur("R", (-79.5, 12.0, 70.5), RADIUS_MM, NECK_MM, 0.9)
NO_OUTLINE = NeckNotMeasured("The outline of the neck cannot be seen.")
TOO_SMALL = NeckNotMeasured("Too little of the neck's trabecular bone lies in the plane.")


def coordinates(row_mm: float, column_mm: float) -> tuple[Floats, Floats]:
    """Return distances along the neck from the head's center, and across, of 200 × 200 mm."""
    rows, columns = np.mgrid[: int(200 / row_mm), : int(200 / column_mm)]
    down, left = rows * row_mm - 79.5, 120.5 - columns * column_mm
    return (down + left) / np.sqrt(2), (down - left) / np.sqrt(2)


def plane(hu: Floats, row_mm: float, column_mm: float, blur_mm: float) -> Plane:
    blurred = gaussian_filter(hu, (blur_mm / row_mm, blur_mm / column_mm))
    pixels = np.rint(blurred).astype(np.int16)
    return Plane(40, pixels, (-200.0, 12.0, 150.0), row_mm, column_mm, None)


def bone(
    trabecular: float = 120.0,
    *,
    row_mm: float = 0.8,
    column_mm: float = 0.8,
    blur_mm: float = 0.7,
    cortex_mm: float = 2.0,
    flare: float = 0.0,
    wall_mm: float | None = None,
    gap_hu: float | None = None,
) -> Plane:
    """Return a neck 30 mm wide in muscle.

    ``flare`` : slope of its border from 34 mm on. ``wall_mm`` : distance of a wall of cortex
    from the head's center. ``gap_hu`` : value of a gap in the middle of the neck.
    """
    along, across = coordinates(row_mm, column_mm)
    half = 15 + flare * np.maximum(along - 34, 0)
    hu = np.where(np.abs(across) < half, 1100.0, 40.0)
    hu[np.abs(across) < half - cortex_mm] = trabecular
    if gap_hu is not None:
        hu[np.hypot(along - 31, across) < 4] = gap_hu
    if wall_mm is not None:
        hu[along > wall_mm] = 1100.0
    return plane(hu, row_mm, column_mm, blur_mm)


def measured(source: Plane, femur: Femur = FEMUR) -> NeckAttenuation:
    found = neck_attenuation(source, femur)
    assert isinstance(found, NeckAttenuation)
    return found


def extent(found: NeckAttenuation) -> tuple[float, float, float]:
    """Return begin and end of the outline along the neck, and its largest distance across."""
    x, _, z = np.array(found.outline_mm).T - np.array(FEMUR.center_mm)[:, None]
    along, across = (-x - z) / np.sqrt(2), (x - z) / np.sqrt(2)
    return float(along.min()), float(along.max()), float(np.abs(across).max())


@pytest.mark.parametrize(
    ("row_mm", "column_mm", "blur_mm"), [(0.6, 0.6, 0.5), (0.977, 0.977, 0.8), (0.8, 1.1, 1.3)]
)
@pytest.mark.parametrize("cortex_mm", [1.0, 4.0])
@pytest.mark.parametrize("trabecular", [-40.0, 120.0, 300.0])
def test_attenuation_is_that_of_the_bone_within_the_cortex(
    row_mm: float, column_mm: float, blur_mm: float, cortex_mm: float, trabecular: float
) -> None:
    source = bone(
        trabecular, row_mm=row_mm, column_mm=column_mm, blur_mm=blur_mm, cortex_mm=cortex_mm
    )

    found = measured(source)

    assert found.mean_hu == pytest.approx(trabecular, abs=10)
    assert found.sd_hu < 25
    assert found.area_mm2 > 80


def test_region_lies_between_head_and_trochanters_and_uses_the_width() -> None:
    begin, end, half_width = extent(measured(bone(blur_mm=0.4)))

    assert begin == pytest.approx(RADIUS_MM + 2, abs=0.6)
    assert end == pytest.approx(1.55 * RADIUS_MM + 2, abs=0.6)
    assert 9 < half_width < 13


def test_margin_to_the_cortex_follows_the_blur() -> None:
    half_widths = [extent(measured(bone(blur_mm=blur)))[2] for blur in (0.4, 1.0, 1.8)]

    assert half_widths == sorted(half_widths, reverse=True)
    assert half_widths[0] - half_widths[2] > 2


def test_region_does_not_follow_the_flare_into_the_trochanters() -> None:
    straight, flared = (extent(measured(bone(flare=flare)))[2] for flare in (0.0, 1.2))

    assert flared < 1.2 * straight


def test_gap_in_the_neck_counts() -> None:
    whole, with_gap = measured(bone()), measured(bone(gap_hu=-60.0))

    assert with_gap.pixels == whole.pixels
    share = np.pi * 4**2 / whole.area_mm2
    assert whole.mean_hu - with_gap.mean_hu == pytest.approx(180 * share, rel=0.1)


def test_region_ends_before_the_cortex_of_the_shaft() -> None:
    found = measured(bone(wall_mm=34.0))

    assert extent(found)[1] < 33
    assert found.mean_hu == pytest.approx(120, abs=10)


def test_area_and_pixels_are_those_of_the_outline() -> None:
    source = bone(row_mm=0.5, column_mm=0.7)
    found = measured(source)

    inside = pixels_inside(source.to_index(found.outline_mm), source.hu.shape)
    assert inside.sum() == found.pixels
    assert source.hu[inside].mean() == pytest.approx(found.mean_hu)
    assert found.pixels * 0.5 * 0.7 == pytest.approx(found.area_mm2, rel=0.02)


def test_no_region_without_a_cortex_to_see() -> None:
    along, _ = coordinates(0.8, 0.8)
    noise = np.random.default_rng(3).normal(60, 25, along.shape)

    found = neck_attenuation(plane(noise, 0.8, 0.8, 0.5), FEMUR)

    assert found == NO_OUTLINE


def test_no_region_where_only_one_side_of_the_neck_has_an_outline() -> None:
    source = bone()
    _, across = coordinates(0.8, 0.8)
    hu = np.where(across > 5, 100, source.hu).astype(np.int16)

    found = neck_attenuation(Plane(40, hu, source.position_mm, 0.8, 0.8, None), FEMUR)

    assert found == NO_OUTLINE


def test_no_region_where_cortex_leaves_no_length() -> None:
    found = neck_attenuation(bone(wall_mm=30.0), FEMUR)

    assert found == TOO_SMALL


def test_no_region_of_a_neck_that_runs_out_of_the_plane() -> None:
    x, _, z = FEMUR.center_mm
    found = neck_attenuation(bone(), Femur("R", FEMUR.center_mm, 23.0, (x, 40.0, z - 5), 0.9))

    assert found == NeckNotMeasured("The neck does not run in the plane.")


def test_region_ends_before_near_trochanters() -> None:
    def trochanter_at(along_mm: float) -> Femur:
        x, y, z = FEMUR.center_mm
        shift = along_mm / np.sqrt(2)
        return replace(FEMUR, trochanter_mm=(x - shift, y, z - shift))

    far, near = (extent(measured(bone(), trochanter_at(mm)))[1] for mm in (60.0, 40.0))
    none = neck_attenuation(bone(), trochanter_at(31.0))

    assert far == pytest.approx(1.55 * RADIUS_MM + 2, abs=0.6)
    assert near == pytest.approx(0.85 * 40, abs=0.6)
    assert none == TOO_SMALL


@given(
    st.tuples(st.floats(-230, 30), st.floats(-30, 30), st.floats(-80, 180)),
    st.tuples(st.floats(-60, 60), st.floats(-40, 40), st.floats(-60, 60)),
    st.floats(12, 32),
    st.one_of(st.none(), st.floats(0.2, 3)),
)
@settings(max_examples=60, deadline=None)
def test_any_femur_has_a_region_or_a_reason(
    center: PointMm, offset: PointMm, radius_mm: float, trochanter: float | None
) -> None:
    """Whatever the finder returns: the result is a region on the plane, or a sentence."""
    neck = tuple(np.add(center, offset).tolist())
    far = None if trochanter is None else tuple(np.add(center, np.multiply(offset, trochanter)))
    source = bone(row_mm=1.2, column_mm=1.1)

    found = neck_attenuation(source, Femur("R", center, radius_mm, neck, 0.5, None, far))

    if isinstance(found, NeckNotMeasured):
        assert found.text.endswith(".")
    else:
        index = source.to_index(found.outline_mm)
        assert ((index >= 0) & (index < source.hu.shape)).all()


def test_no_region_at_the_edge_of_the_plane() -> None:
    source = bone()
    x, y, z = source.to_mm((0, 130)).tolist()
    cut = Plane(40, source.hu[:, 130:], (x, y, z), 0.8, 0.8, None)

    assert neck_attenuation(cut, FEMUR) == NO_OUTLINE


@given(st.integers(0, 2**32 - 1), st.integers(3, 12))
def test_pixels_inside_are_those_of_another_implementation(seed: int, count: int) -> None:
    outline = np.random.default_rng(seed).uniform(-3, 23, (count, 2))
    centers = np.column_stack([index.ravel() for index in np.indices((20, 18))])

    # Path uses the nonzero rule, which is the same for outlines that do not cross themselves.
    order = np.argsort(np.arctan2(*(outline - outline.mean(axis=0)).T))
    star = outline[order]

    expected = Path(star).contains_points(centers).reshape(20, 18)
    np.testing.assert_array_equal(pixels_inside(star, (20, 18)), expected)
