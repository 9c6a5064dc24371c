"""Covered: the region in the neck on phantoms of known cortex, slices and filling; its absence.

Not covered: anatomy (simulated and real hips are measured in ``tests/bench``).
"""

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from worker.pipeline import select
from worker.pipeline.neck import neck_attenuation
from worker.pipeline.reformat import CANONICAL_AXES
from worker.pipeline.results import NeckAttenuation, NeckNotMeasured
from worker.pipeline.volume import Femur, Plane, PointMm, Volume

Floats = npt.NDArray[np.float64]
Scan = tuple[Volume, Plane]

# The neck runs down and to the right of the patient at 45°; this is its center.
NECK_MM = (-100.0, 12.0, 50.0)
RADIUS_MM = 23.0
FEMUR = Femur("R", (-79.5, 12.0, 70.5), RADIUS_MM, NECK_MM, 0.9)
# Center of the first voxel of 1 mm, and how many (slices, rows, columns).
FIRST_MM = (-155.0, -18.0, 105.0)
SHAPE = (61, 111, 111)
HALF_HEIGHT_MM, HALF_DEPTH_MM = 15.0, 11.0
NO_OUTLINE = NeckNotMeasured("The outline of the neck cannot be seen.")
TOO_SMALL = NeckNotMeasured("Too little of the neck's trabecular bone is in view.")


@cache
def coordinates() -> tuple[Floats, Floats, Floats]:
    """Return distances along the neck from the head's center, upward across and behind."""
    slices, rows, columns = np.indices(SHAPE, np.float64)
    right = FEMUR.center_mm[0] - FIRST_MM[0] - columns
    down = FEMUR.center_mm[2] - FIRST_MM[2] + rows
    behind = FIRST_MM[1] + slices - NECK_MM[1]
    return (right + down) / np.sqrt(2), (right - down) / np.sqrt(2), behind


def scan(hu: Floats, thick: tuple[int, int] = (2, 1), blur_mm: float = 0.7) -> Scan:
    """Return a volume of slices and rows so many mm thick, and the plane of the femur."""
    blurred = gaussian_filter(hu, blur_mm)
    affine = np.eye(4)
    affine[:3, :3] = CANONICAL_AXES.T
    affine[:3, 3] = FIRST_MM
    for axis, count in enumerate(thick):
        kept = blurred.shape[axis] // count * count
        slabs = np.moveaxis(blurred, axis, 0)[:kept]
        slabs = slabs.reshape(kept // count, count, *slabs.shape[1:]).mean(axis=1)
        blurred = np.moveaxis(slabs, 0, axis)
        affine[:3, 3] += affine[:3, axis] * (count - 1) / 2
        affine[:3, axis] *= count
    volume = Volume(np.rint(blurred).astype(np.int16), affine)
    return volume, select.choose_plane(volume, FEMUR)


def bone(
    trabecular: float | Floats = 120.0,
    *,
    cortex_mm: float = 2.0,
    flare: float = 0.0,
    wall_mm: float | None = None,
    gap_hu: float | None = None,
) -> Floats:
    """Return HU of a neck 30 mm high and 22 mm deep in muscle.

    ``flare`` : slope of its borders above and below from 34 mm on. ``wall_mm`` : distance of a
    wall of cortex from the head's center. ``gap_hu`` : value of a hole from front to back.
    """
    along, up, behind = coordinates()
    height = HALF_HEIGHT_MM + flare * np.maximum(along - 34, 0)
    hu = np.where(np.hypot(up / height, behind / HALF_DEPTH_MM) < 1, 1100.0, 40.0)
    inner, depth = height - cortex_mm, HALF_DEPTH_MM - cortex_mm
    hu = np.where(np.hypot(up / inner, behind / depth) < 1, trabecular, hu)
    if gap_hu is not None:
        hu[(np.hypot(along - 33, up) < 3.5) & (np.abs(behind) < 9)] = gap_hu
    if wall_mm is not None:
        hu[along > wall_mm] = 1100.0
    return hu


def measured(source: Scan, femur: Femur = FEMUR) -> NeckAttenuation:
    found = neck_attenuation(*source, femur)
    assert isinstance(found, NeckAttenuation)
    return found


def extent(found: NeckAttenuation) -> tuple[float, float, float]:
    """Return begin and end of the outline along the neck, and its largest distance across."""
    x, _, z = np.array(found.outline_mm).T - np.array(FEMUR.center_mm)[:, None]
    along, across = (-x - z) / np.sqrt(2), (x - z) / np.sqrt(2)
    return float(along.min()), float(along.max()), float(np.abs(across).max())


@pytest.mark.parametrize("thick", [(2, 1), (4, 1), (1, 5)], ids=str)
@pytest.mark.parametrize(
    ("trabecular", "cortex_mm"), [(-40.0, 1.0), (120.0, 3.0), (300.0, 2.0)]
)
def test_attenuation_is_that_of_the_bone_within_the_cortex(
    thick: tuple[int, int], trabecular: float, cortex_mm: float
) -> None:
    found = measured(scan(bone(trabecular, cortex_mm=cortex_mm), thick))

    assert found.mean_hu == pytest.approx(trabecular, abs=8)
    assert found.sd_hu < 25
    assert found.volume_mm3 > 700


def test_slices_of_any_thickness_and_position_have_the_same_region_and_attenuation() -> None:
    """The bone is denser behind and below, as real necks are, and noisy."""
    along, up, behind = coordinates()
    hu = bone(150 + 6 * behind - 3 * up + 2 * (along - 30))
    hu = hu + np.random.default_rng(5).normal(0, 15, hu.shape)
    shifted = np.concatenate([hu[-2:], hu[:-2]])
    moved = replace(FEMUR, center_mm=(-79.5, 14.0, 70.5), neck_mm=(-100.0, 14.0, 50.0))

    found = [measured(scan(hu, thick)) for thick in ((1, 1), (2, 1), (4, 1), (1, 3), (1, 5))]
    found += [measured(scan(shifted, thick), moved) for thick in ((3, 1), (4, 1))]

    mean_hu = np.array([each.mean_hu for each in found])
    assert mean_hu.std(ddof=1) / mean_hu.mean() < 0.03
    assert np.abs(mean_hu - mean_hu[0]).max() < 8
    half_heights = [extent(each)[2] for each in found]
    assert max(half_heights) - min(half_heights) < 0.8


def test_region_lies_between_head_and_trochanters_in_the_middle_of_the_neck() -> None:
    found = measured(scan(bone(), (1, 1), blur_mm=0.4))
    begin, end, half_height = extent(found)

    assert begin == pytest.approx(RADIUS_MM + 2, abs=0.6)
    assert end == pytest.approx(1.7 * RADIUS_MM + 2, abs=0.6)
    assert half_height == pytest.approx(0.4 * HALF_HEIGHT_MM, abs=0.5)
    half_depth = found.volume_mm3 / (np.pi * half_height * (end - begin))
    assert half_depth == pytest.approx(0.2 * HALF_HEIGHT_MM, abs=0.3)


def test_region_lies_in_the_middle_of_a_neck_beside_the_axis_that_was_found() -> None:
    """The finder's axis lies 2 mm in front of the middle and below; behind it is denser."""
    hu = bone(120 + 8 * coordinates()[2])
    off = (-1.4, -2.0, -1.4)
    beside = replace(
        FEMUR,
        center_mm=tuple(np.add(FEMUR.center_mm, off).tolist()),
        neck_mm=tuple(np.add(NECK_MM, off).tolist()),
    )
    centered, found = measured(scan(hu)), measured(scan(hu), beside)

    assert found.mean_hu == pytest.approx(centered.mean_hu, abs=4)
    assert extent(found)[2] == pytest.approx(extent(centered)[2], abs=0.6)


def test_region_does_not_follow_the_flare_into_the_trochanters() -> None:
    straight, flared = (extent(measured(scan(bone(flare=flare))))[2] for flare in (0.0, 1.2))

    assert flared < 1.15 * straight


def test_gap_in_the_neck_counts() -> None:
    whole, with_gap = measured(scan(bone())), measured(scan(bone(gap_hu=-60.0)))

    assert with_gap.volume_mm3 == pytest.approx(whole.volume_mm3, rel=0.02)
    # A hole of 7 mm from front to back; at its rim the region is a little less deep.
    share = np.pi * 3.5**2 * 0.96 * 2 * 0.2 * HALF_HEIGHT_MM / whole.volume_mm3
    assert whole.mean_hu - with_gap.mean_hu == pytest.approx(180 * share, rel=0.15)


def test_region_ends_before_the_cortex_of_the_shaft() -> None:
    found = measured(scan(bone(wall_mm=36.0)))

    assert extent(found)[1] < 35
    assert found.mean_hu == pytest.approx(120, abs=10)


def test_area_is_that_of_the_outline_and_the_outline_lies_on_the_plane() -> None:
    volume, plane = scan(bone())
    found = measured((volume, plane))
    index = plane.to_index(found.outline_mm)

    begin, end, half_height = extent(found)
    assert found.area_mm2 == pytest.approx((end - begin) * 2 * half_height, rel=0.02)
    np.testing.assert_allclose(plane.to_mm(index), found.outline_mm, atol=1e-6)
    np.testing.assert_array_equal(index, index.astype(np.float32))


def test_no_region_without_a_cortex_to_see() -> None:
    noise = np.random.default_rng(3).normal(60, 25, SHAPE)

    assert neck_attenuation(*scan(noise), FEMUR) == NO_OUTLINE


def test_no_region_where_only_one_side_of_the_neck_has_an_outline() -> None:
    hu = np.where(coordinates()[1] > 5, 100.0, bone())

    assert neck_attenuation(*scan(hu), FEMUR) == NO_OUTLINE


def test_no_region_where_cortex_leaves_no_length() -> None:
    assert neck_attenuation(*scan(bone(wall_mm=30.0)), FEMUR) == TOO_SMALL


def test_no_region_of_a_neck_that_runs_out_of_the_plane() -> None:
    x, _, z = FEMUR.center_mm
    found = neck_attenuation(*scan(bone()), replace(FEMUR, neck_mm=(x, 40.0, z - 5)))

    assert found == NeckNotMeasured("The neck does not run in the plane.")


def test_region_ends_before_near_trochanters() -> None:
    source = scan(bone())

    def trochanter_at(along_mm: float) -> Femur:
        x, y, z = FEMUR.center_mm
        shift = along_mm / np.sqrt(2)
        return replace(FEMUR, trochanter_mm=(x - shift, y, z - shift))

    far, near = (extent(measured(source, trochanter_at(mm)))[1] for mm in (60.0, 40.0))

    assert far == pytest.approx(1.7 * RADIUS_MM + 2, abs=0.6)
    assert near == pytest.approx(0.85 * 40, abs=0.6)
    assert neck_attenuation(*source, trochanter_at(31.0)) == TOO_SMALL


def test_no_region_at_the_edge_of_the_volume() -> None:
    volume, _ = scan(bone())
    cut = Volume(volume.hu[:, :60], volume.affine)

    found = neck_attenuation(cut, select.choose_plane(cut, FEMUR), FEMUR)

    assert found in (NO_OUTLINE, TOO_SMALL)


@given(
    st.tuples(st.floats(-230, 30), st.floats(-30, 30), st.floats(-80, 180)),
    st.tuples(st.floats(-60, 60), st.floats(-40, 40), st.floats(-60, 60)),
    st.floats(12, 32),
    st.one_of(st.none(), st.floats(0.2, 3)),
)
@settings(max_examples=40, deadline=None)
def test_any_femur_has_a_region_or_a_reason(
    center: PointMm, offset: PointMm, radius_mm: float, trochanter: float | None
) -> None:
    """Whatever the finder returns: the result is a region on the plane, or a sentence."""
    neck = tuple(np.add(center, offset).tolist())
    far = None if trochanter is None else tuple(np.add(center, np.multiply(offset, trochanter)))
    volume, plane = scan_of_any()

    found = neck_attenuation(volume, plane, Femur("R", center, radius_mm, neck, 0.5, None, far))

    if isinstance(found, NeckNotMeasured):
        assert found.text.endswith(".")
    else:
        index = plane.to_index(found.outline_mm)
        assert ((index >= 0) & (index < plane.hu.shape)).all()


@cache
def scan_of_any() -> Scan:
    return scan(bone(), (4, 2))
