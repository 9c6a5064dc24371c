"""Covered: slices without an image, foreign, exchanged and flipped ones, ends, valid stacks.
Not covered: the ratios in simulated and real CT."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from tests.support.ct_volume import AXIAL, load_series, write_ct
from tests.support.rule_results import rejection
from tests.support.slices import Hu, body_slices
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.validation.slice_consistency import (
    find_faults,
    inconsistent_slices,
    thumbnail,
)
from worker.pipeline.volume import AcquiredSlices, Volume


def faults(hu: Hu | npt.NDArray[np.float32]) -> list[tuple[int, int, str]]:
    """Return the faults, slices counted from 1."""
    thumbnails = np.stack([thumbnail(image.astype(np.float32)) for image in hu])
    return [(fault.first + 1, fault.last + 1, fault.words) for fault in find_faults(thumbnails)]


def altered(change: Callable[[Hu], object], **body: float) -> list[tuple[int, int]]:
    hu = body_slices(**body)  # type: ignore[arg-type]
    change(hu)
    return [fault[:2] for fault in faults(hu)]


def put(place: int | slice, value: object) -> Callable[[Hu], object]:
    return lambda hu: hu.__setitem__(place, value)


def move(place: int | slice, source: int | slice) -> Callable[[Hu], object]:
    return lambda hu: hu.__setitem__(place, hu[source].copy())


def picture() -> Hu:
    hu = np.full((128, 128), -1024, np.int16)
    hu[20:100:8] = 1976
    hu[:, 50:60] = 976
    return hu


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise_hu", [0.0, 10.0, 120.0])
def test_valid_stack_has_no_fault(noise_hu: float, seed: int) -> None:
    assert faults(body_slices(noise_hu=noise_hu, seed=seed)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put(11, -1024), (12, 12)),
        (put(11, 0), (12, 12)),
        (put(slice(8, 14), -1024), (9, 14)),
        (put(11, picture()), (12, 12)),
        (move(11, 20), (12, 12)),
        (move(slice(11, 13), slice(20, 22)), (12, 13)),
        (move(slice(11, 14), slice(20, 23)), (12, 14)),
        (lambda hu: hu.__setitem__(11, hu[11, :, ::-1].copy()), (12, 12)),
        (lambda hu: hu.__setitem__(11, hu[11, ::-1].copy()), (12, 12)),
        (lambda hu: hu.__setitem__(11, hu[11] + 1024), (12, 12)),
        (lambda hu: hu.__setitem__((11, slice(64, None)), -1024), (12, 12)),
        (move(0, 12), (1, 1)),
        (move(23, 12), (24, 24)),
        (put(23, 0), (24, 24)),
    ],
    ids=[
        "air", "zero", "six slices of air", "picture", "slice from elsewhere", "two", "three",
        "columns reversed", "rows reversed", "other intercept", "lower half lost", "first",
        "last", "zero at the end",
    ],
)  # fmt: skip
@pytest.mark.parametrize("noise_hu", [10.0, 30.0])
@pytest.mark.covers("H5")
def test_fault_is_named_with_the_numbers_of_its_slices(
    change: Callable[[Hu], object], expected: tuple[int, int], noise_hu: float
) -> None:
    assert altered(change, noise_hu=noise_hu) == [expected]


def test_exchanged_neighbors_are_named_together() -> None:
    hu = body_slices()
    hu[[11, 12]] = hu[[12, 11]]

    assert [fault[:2] for fault in faults(hu)] == [(12, 13)]


def test_exchanged_neighbors_are_found_in_slices_that_hardly_differ() -> None:
    """As slices of 1 mm do: the change from one to the next is hardly more than the noise."""
    coarse = body_slices(noise_hu=0).astype(np.float32)
    hu = ndimage.zoom(coarse, (8, 1, 1), order=1)[40:80]
    hu += np.random.default_rng(5).normal(0, 4, hu.shape)
    assert faults(hu) == []

    hu[[11, 12]] = hu[[12, 11]]

    assert faults(hu) == [(12, 13, "each other's pixels")]


@pytest.mark.parametrize("length", [3, 5, 7])
def test_a_run_in_reverse_order_is_named(length: int) -> None:
    hu = ndimage.zoom(body_slices(noise_hu=0).astype(np.float32), (3, 1, 1), order=1)
    hu[18 : 18 + length] = hu[18 : 18 + length][::-1].copy()

    assert faults(hu) == [(19, 18 + length, "pixels in reverse order")]


@pytest.mark.parametrize("length", [4, 6])
def test_a_longer_run_from_elsewhere_is_named(length: int) -> None:
    """Too alike to have nothing in common: organs of the same body, 12 slices away."""
    hu = ndimage.zoom(body_slices(noise_hu=0).astype(np.float32), (4, 1, 1), order=1)
    hu[28 : 28 + length] = hu[40 : 40 + length]

    assert faults(hu) == [(29, 28 + length, "pixels that are foreign to both neighbors")]


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.covers("H1")
def test_slices_that_are_all_flipped_from_one_on_are_named(axis: int) -> None:
    hu = body_slices()
    hu[12:] = np.flip(hu[12:], axis)

    assert [fault[:2] for fault in faults(hu)] == [(12, 13)]


def test_columns_in_opposite_orders_are_named_where_the_bodies_are_alike() -> None:
    """A body is nearly symmetric, so that a flip is no greater step than a breath."""
    hu = ndimage.zoom(body_slices(noise_hu=0).astype(np.float32), (8, 1, 1), order=1)
    hu = 0.85 * hu + 0.15 * np.flip(hu, 2)
    assert faults(hu) == []
    hu[80:] = np.flip(hu[80:], 2)

    assert faults(hu) == [(80, 81, "columns in opposite orders")]


@pytest.mark.parametrize("source", [9, 10, 12, 14])
def test_slice_with_the_pixels_of_one_beside_it_is_named_with_it(source: int) -> None:
    assert altered(move(11, source)) == [(min(12, source + 1), max(12, source + 1))]


def test_stack_resampled_without_interpolation_and_a_repeated_end_are_no_faults() -> None:
    hu = body_slices()
    assert faults(np.repeat(hu, 2, axis=0)) == []
    assert altered(move(23, 22)) == []


def test_slices_exchanged_far_apart_are_both_named() -> None:
    hu = body_slices()
    hu[[5, 17]] = hu[[17, 5]]

    assert [fault[:2] for fault in faults(hu)] == [(6, 6), (18, 18)]


@pytest.mark.parametrize("slices", [slice(12, None), slice(9, 15)])
@pytest.mark.covers("H5")
def test_part_of_another_body_is_named_by_the_slices_where_it_begins(slices: slice) -> None:
    hu, other = body_slices(seed=1), body_slices(seed=9)
    hu[slices] = np.roll(other, (40, 30), axis=(1, 2))[slices]

    assert (slices.start, slices.start + 1, "pixels that have nothing in common") in faults(hu)


def test_air_and_black_slices_at_the_ends_are_no_faults() -> None:
    assert (
        altered(lambda hu: (put(slice(0, 4), -1000)(hu), put(slice(20, 24), -1024)(hu))) == []
    )


def test_noisy_air_at_the_ends_is_no_fault() -> None:
    air = np.random.default_rng(3).normal(-1000, 15, (128, 128)).clip(-1024)

    assert altered(lambda hu: (put(slice(0, 4), air)(hu), put(slice(21, 24), air)(hu))) == []


def test_breath_between_two_stations_is_no_fault() -> None:
    hu = body_slices(30)
    breath = np.concatenate([hu[:12], np.roll(hu[16:], 4, axis=1)])

    assert faults(breath) == []


def test_table_that_appears_in_one_slice_behind_the_body_is_no_fault() -> None:
    hu = body_slices()
    for index, half in ((16, 45), (17, 35), (18, 20)):
        hu[index, :, : 64 - half], hu[index, :, 64 + half :] = -1000, -1000
        hu[index, : 64 - half], hu[index, 64 + half :] = -1000, -1000
    hu[19:] = -1000
    hu[22, 10:118, 20:108] = -100

    assert faults(hu) == []


@pytest.mark.parametrize(("scale", "expected"), [(1.3, [12]), (1.5, [12]), (1.1, [])])
def test_a_slice_of_another_scale_is_a_fault(scale: float, expected: list[int]) -> None:
    hu = body_slices().astype(np.float32)
    hu[11] = np.clip(hu[11] * scale, -1024, 3071)

    assert [fault[0] for fault in faults(hu)] == expected


@pytest.mark.parametrize("at", [6, 12, 18])
def test_exchanged_parts_of_a_stack_are_a_fault(at: int) -> None:
    hu = np.roll(body_slices(), at, axis=0)

    words = "both ends of the body, while the first and the last slice are neighbors"
    assert faults(hu) == [(at, at + 1, words)]


def test_exchanged_parts_that_meet_in_air_are_a_fault() -> None:
    hu = body_slices()
    hu[:3], hu[21:] = -1000, -1000
    hu[:3, 100:104], hu[21:, 20:24] = -600, -600

    assert faults(hu) == []
    assert [fault[0] for fault in faults(np.roll(hu, 12, axis=0))] == [9]


def test_metal_in_one_thick_slice_is_no_fault() -> None:
    hu = body_slices()
    hu[11, 60:70, 30:50] = 3071

    assert faults(hu) == []


def test_stack_of_one_value_is_left_to_the_rule_for_anatomy() -> None:
    assert faults(np.zeros((12, 64, 64), np.int16)) == []


def test_faulty_slice_of_an_axial_series_is_named_by_its_uid(tmp_path: Path) -> None:
    hu = body_slices()
    hu[11] = -1024
    uids: dict[int, str] = {}
    paths = write_ct(
        tmp_path,
        hu,
        directions=AXIAL,
        change=lambda index, ds: uids.update({index: str(ds.SOPInstanceUID)}),
    )
    reason = rejection(inconsistent_slices(load_series(paths)[1]))

    assert reason is not None
    assert reason.code is ReasonCode.GAPS
    assert reason.text == f"Slice 12 ({uids[11]}) holds no image: all pixels are equal."


def test_first_and_last_slice_of_a_run_are_named(tmp_path: Path) -> None:
    hu = body_slices()
    hu[11:14] = hu[20:23]
    uids: dict[int, str] = {}
    paths = write_ct(
        tmp_path, hu, change=lambda index, ds: uids.update({index: str(ds.SOPInstanceUID)})
    )
    reason = rejection(inconsistent_slices(load_series(paths)[1]))

    assert reason is not None
    assert reason.text == (
        f"Slices 12 ({uids[11]}) to 14 ({uids[13]}) hold pixels that are foreign to both "
        "neighbors."
    )


def test_long_lists_are_cut() -> None:
    hu = body_slices(60)
    for index in range(4, 56, 8):
        hu[index] = -1024
    thumbnails = np.stack([thumbnail(image.astype(np.float32)) for image in hu])
    names = tuple(f"1.2.{index}" for index in range(60))
    volume = Volume(hu, np.eye(4), acquired=AcquiredSlices(thumbnails, names))
    reason = rejection(inconsistent_slices(volume))

    assert reason is not None
    assert reason.text.count("(1.2.") == 4
    assert reason.text.endswith(" 3 more places.")


def test_volume_that_was_not_read_from_files_passes() -> None:
    result = inconsistent_slices(Volume(body_slices(), np.eye(4)))

    assert result == "No slices to compare."


@pytest.mark.parametrize(("rows", "columns"), [(5, 7), (64, 100), (130, 512)])
def test_thumbnail_holds_means_of_blocks(rows: int, columns: int) -> None:
    image = np.random.default_rng(0).normal(0, 100, (rows, columns)).astype(np.float32)
    high, wide = max(1, rows // 64), max(1, columns // 64)

    assert thumbnail(image)[0, -1] == pytest.approx(
        image[:high, (columns // wide - 1) * wide : columns // wide * wide].mean(), abs=0.01
    )
