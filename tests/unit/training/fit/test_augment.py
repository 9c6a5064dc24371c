"""Augmentation: effect of each change, constant HU, dependence on the seed, flips."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from training import presets
from training.fit.augment import GRAY_PER_HU, augmentation, reformatted
from training.presets import AugmentSettings

NO_CHANGE = AugmentSettings(
    rotation_deg=0,
    zoom=0,
    shift_px=0,
    flip_columns=False,
    flip_rows=False,
    noise_hu=0,
    offset_hu=0,
    sharpness=0,
    slice_mm=0,
    probability=1.0,
)
OURS = presets.load("osteoscreen").augment

Pixels = npt.NDArray[np.float32]


@pytest.fixture
def crops() -> Pixels:
    """Return crops of a bright, soft-edged square on soft tissue."""
    rows, columns = np.mgrid[:250, :250]
    inside = np.clip(40 - np.maximum(abs(rows - 110), abs(columns - 140)), 0, 4) / 4
    return np.repeat((69 + 60 * inside)[None], 24, axis=0).astype(np.float32)


def changed(crops: Pixels, preset: AugmentSettings, seed: int = 0) -> Pixels:
    return both_changed(crops[..., np.newaxis], preset, seed)[..., 0]


def both_changed(images: Pixels, preset: AugmentSettings, seed: int = 0) -> Pixels:
    augment = augmentation(preset)
    return np.asarray(augment(tf.constant(images), tf.constant([seed, 1], tf.int32)))


def center_of(picture: Pixels) -> npt.NDArray[np.float64]:
    weight = picture - 69
    return np.array([np.average(g, weights=weight) for g in np.mgrid[:250, :250]])


def test_no_change_leaves_the_pixels(crops: Pixels) -> None:
    np.testing.assert_allclose(changed(crops, NO_CHANGE), crops, atol=1e-3)


def test_same_seed_gives_the_same_pixels_and_another_does_not(crops: Pixels) -> None:
    first, again, other = (changed(crops, OURS, seed) for seed in (3, 3, 4))

    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 5


def test_crops_of_a_batch_change_differently(crops: Pixels) -> None:
    assert len({picture.tobytes() for picture in changed(crops, OURS)}) == len(crops)


@pytest.mark.parametrize("name", ["osteoscreen", "paper-image"])
def test_uniform_tissue_keeps_its_attenuation(name: str) -> None:
    crops = np.full((24, 250, 250), 100, np.float32)

    result = changed(crops, replace(presets.load(name).augment, offset_hu=0))

    np.testing.assert_allclose(result.mean(axis=(1, 2)), 100, atol=1.5 * GRAY_PER_HU)


def test_offset_of_the_scanner_stays_within_its_range(crops: Pixels) -> None:
    result = changed(crops, replace(NO_CHANGE, offset_hu=15.0)) - crops

    assert np.ptp(result, axis=(1, 2)).max() < 1e-3
    offsets_hu = result[:, 0, 0] / GRAY_PER_HU
    assert np.abs(offsets_hu).max() <= 15.01
    assert offsets_hu.min() < -5
    assert offsets_hu.max() > 5


def test_an_offset_of_hu_is_kept(crops: Pixels) -> None:
    geometry = replace(OURS, noise_hu=0)

    offset = changed(crops + 20 * GRAY_PER_HU, geometry) - changed(crops, geometry)

    np.testing.assert_allclose(offset, 20 * GRAY_PER_HU, atol=1e-3)


def test_reformatting_keeps_the_mean_and_blurs_along_the_rows_only(crops: Pixels) -> None:
    result = changed(crops, replace(NO_CHANGE, slice_mm=6.0))
    blurred = [p for p, c in zip(result, crops, strict=True) if np.abs(p - c).max() > 1]

    assert blurred
    for picture in blurred:
        assert picture.mean() == pytest.approx(crops[0].mean(), abs=0.3)
        np.testing.assert_allclose(picture[110], crops[0][110], atol=0.01)


def test_slices_as_thin_as_a_row_change_nothing() -> None:
    picture = np.random.default_rng(0).normal(size=(250, 250))

    np.testing.assert_allclose(reformatted(picture, 1.0, 0.0), picture, atol=1e-9)


def test_shift_stays_within_its_range(crops: Pixels) -> None:
    result = changed(crops, replace(NO_CHANGE, shift_px=8.0))
    shifts = np.array([center_of(p) for p in result]) - center_of(crops[0])

    assert np.abs(shifts).max() <= 8.3
    assert np.abs(shifts).max() > 4


def test_zoom_is_about_the_center_of_the_crop(crops: Pixels) -> None:
    result = changed(crops, replace(NO_CHANGE, zoom=0.06))
    areas = (result - 69).sum(axis=(1, 2)) / (crops[0] - 69).sum()

    assert 0.87 < areas.min() < 0.96
    assert 1.04 < areas.max() < 1.14
    middle = np.array([124.5, 124.5])
    for picture, area in zip(result, areas, strict=True):
        expected = middle + (center_of(crops[0]) - middle) * np.sqrt(area)
        np.testing.assert_allclose(center_of(picture), expected, atol=0.2)


@pytest.mark.parametrize(("name", "axis"), [("flip_rows", 0), ("flip_columns", 1)])
def test_flips_mirror_the_crop(crops: Pixels, name: str, axis: int) -> None:
    result = changed(crops, replace(NO_CHANGE, **{name: True}))

    np.testing.assert_allclose(result[0], np.flip(crops[0], axis), atol=1e-3)


def test_outlines_follow_the_geometry_of_their_crops_only(crops: Pixels) -> None:
    outlines = (crops - 69) / 60

    result = both_changed(np.stack([crops, outlines], axis=-1), OURS)
    moved = both_changed(
        np.stack([crops, outlines], axis=-1),
        replace(OURS, noise_hu=0, offset_hu=0, sharpness=0, slice_mm=0),
    )

    np.testing.assert_allclose(result[..., 1], moved[..., 1], atol=1e-6)
    np.testing.assert_allclose(moved[..., 0], 69 + 60 * moved[..., 1], atol=1e-3)


def test_half_of_the_crops_are_flipped_with_the_papers_probability() -> None:
    crops = np.tile(np.linspace(0, 255, 250, dtype=np.float32), (200, 250, 1))

    result = changed(crops, replace(NO_CHANGE, flip_columns=True, probability=0.5))

    assert 0.35 < np.mean(result[:, 0, 0] > result[:, 0, -1]) < 0.65


def test_noise_is_as_strong_as_allowed_and_has_no_mean(crops: Pixels) -> None:
    noise = changed(crops, replace(NO_CHANGE, noise_hu=40.0)) - crops
    sds = noise.std(axis=(1, 2)) / GRAY_PER_HU

    assert sds.max() <= 41
    assert sds.max() > 20
    assert np.abs(noise.mean(axis=(1, 2))).max() < 0.1


def test_result_stays_in_the_window() -> None:
    crops = np.random.default_rng(0).choice([0, 255], (8, 250, 250)).astype(np.float32)

    result = changed(crops, OURS)

    assert result.min() >= 0
    assert result.max() <= 255
