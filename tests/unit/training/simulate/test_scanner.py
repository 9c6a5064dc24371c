"""Rendered slices: position of the anatomy, HU, partial volume, noise and padding.

Not covered: DICOM files (test_series).
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.simulated import index_of, noise_of, quiet_scan, values_at
from training.simulate.scanner import render, render_volume
from training.simulate.subject import sample_subject
from training.simulate.truth import truth


def test_a_slice_alone_has_the_same_pixels():
    subject, acquisition = quiet_scan(noise_hu=20.0)
    middle = acquisition.slices // 2
    together = render(subject, acquisition, range(middle - 2, middle + 3))

    alone = render(subject, acquisition, [middle])

    np.testing.assert_array_equal(alone[0], together[2])
    assert not np.array_equal(together[1], together[2])


@pytest.mark.parametrize("plane", ["coronal", "axial"])
def test_a_region_has_the_pixels_of_the_whole_slice(plane):
    subject, acquisition = quiet_scan(noise_hu=20.0, plane=plane)
    index, (row, column) = index_of(acquisition, truth(subject)[0].neck_mm)
    rows = slice(max(int(row) - 41, 0), int(row) + 30)
    columns = slice(max(int(column) - 37, 0), int(column) + 41)

    region = render(subject, acquisition, [index], rows, columns)[0]

    whole = render(subject, acquisition, [index])[0]
    difference = np.abs(region.astype(int) - whole[rows, columns])
    assert region.shape == (rows.stop - rows.start, columns.stop - columns.start)
    assert difference.max() <= 1


def test_a_region_outside_the_image_is_refused():
    subject, acquisition = quiet_scan()

    with pytest.raises(ValueError, match="region"):
        render(subject, acquisition, [3], slice(300, 310))


def test_same_seed_same_pixels_and_another_scan_has_other_noise():
    subject, acquisition = quiet_scan(noise_hu=20.0)
    middle = acquisition.slices // 2

    first = render(subject, acquisition, [middle])
    repeated = render(*quiet_scan(noise_hu=20.0), [middle])
    other = render(subject, replace(acquisition, seed=acquisition.seed + 1), [middle])

    np.testing.assert_array_equal(first, repeated)
    assert np.std(first.astype(int) - other) > 5


@pytest.mark.parametrize("seed", range(4))
def test_femoral_heads_are_at_their_true_positions(seed):
    subject, acquisition = quiet_scan(seed=seed, rows=400, thickness_mm=2.0, increment_mm=2.0)
    for hip in truth(subject):
        index, _ = index_of(acquisition, hip.center_mm)
        volume = render_volume(subject, acquisition, range(index - 3, index + 4))
        # The half of the head that does not join the neck: upwards and inwards.
        inwards = 1.0 if hip.side == "R" else -1.0
        angles = np.linspace(0.35, 1.2, 40)
        rays = np.stack([np.cos(angles) * inwards, 0 * angles, np.sin(angles)], axis=-1)

        shell = values_at(volume, hip.center_mm + rays * (hip.radius_mm - 1.0))
        joint = values_at(volume, hip.center_mm + rays * (hip.radius_mm + 1.6))
        core = values_at(volume, hip.center_mm + rays * 6.0)

        assert np.median(shell) > np.median(joint) + 150
        assert np.median(core) > 150


def test_less_bone_is_darker_and_has_thinner_cortex():
    bright, dark = (
        sample_subject(np.random.default_rng(4), t_score=t, age_years=60) for t in (0.5, -3.5)
    )
    _, acquisition = quiet_scan(subject=bright, rows=400)
    index, _ = index_of(acquisition, truth(bright)[0].neck_mm)

    shares = [
        (render(subject, acquisition, [index]) > 500).mean() for subject in (bright, dark)
    ]

    assert truth(bright)[0].neck_hu > truth(dark)[0].neck_hu + 80
    assert shares[0] > 1.6 * shares[1]


def test_fat_muscle_and_air_have_their_attenuation():
    subject, acquisition = quiet_scan(noise_hu=4.0)
    hu = render(subject, acquisition, [acquisition.slices // 2])

    fat = hu[(hu > -140) & (hu < -60)]
    muscle = hu[(hu > 20) & (hu < 100)]
    assert np.median(fat) == pytest.approx(subject.body.fat_hu, abs=8)
    assert np.median(muscle) == pytest.approx(subject.body.muscle_hu, abs=10)
    assert np.percentile(hu[hu < -900], 50) == pytest.approx(-1000, abs=25)


def test_tube_voltage_changes_bone_more_than_muscle():
    subject, acquisition = quiet_scan(rows=400)
    index, _ = index_of(acquisition, truth(subject)[0].center_mm)
    low, high = (render(subject, replace(acquisition, kvp=kvp), [index]) for kvp in (80, 140))

    bone = (high > 250) & (high < 2000)
    soft = (high > 40) & (high < 70)
    assert np.median(low[bone] / high[bone]) > 1.3
    assert abs(np.median(low[soft]) - np.median(high[soft])) < 15


def test_a_thick_slice_is_the_mean_of_its_thin_ones():
    subject, thin = quiet_scan(noise_hu=0.0, thickness_mm=1.3, increment_mm=1.3)
    index, _ = index_of(thin, truth(subject)[0].neck_mm)
    stack = render(subject, thin, range(index - 1, index + 2)).astype(float).mean(axis=0)
    affine = thin.affine()
    center = affine[:3, 3] + affine[:3, :3] @ [index, 127.5, 127.5]
    thick = replace(thin, slices=1, thickness_mm=3.9, increment_mm=3.9, center_mm=tuple(center))

    slab = render(subject, thick)[0].astype(float)

    # Soft tissue is painted once per slab, so only bones must agree.
    bones = stack > 200
    assert np.abs(slab - stack)[bones].mean() < 12
    assert np.abs(stack - render(subject, thin, [index + 1])[0])[bones].mean() > 24


def test_noise_has_the_given_strength():
    subject, acquisition = quiet_scan(noise_hu=20.0)
    body = replace(subject.body, scale=1.0, fat_mm=18.0)

    noise = noise_of(replace(subject, body=body), acquisition)

    assert noise.std() == pytest.approx(20.0, rel=0.3)
    assert abs(noise.mean()) < 6.0


def test_a_big_patient_is_noisier():
    subject, acquisition = quiet_scan(noise_hu=12.0)
    levels = [
        noise_of(replace(subject, body=replace(subject.body, fat_mm=fat)), acquisition).std()
        for fat in (8.0, 45.0)
    ]

    assert levels[1] > 1.4 * levels[0]


def test_a_sharp_kernel_has_finer_noise_and_a_soft_one_is_correlated():
    correlations = {}
    for kernel in ("soft", "sharp"):
        subject, acquisition = quiet_scan(noise_hu=20.0, kernel=kernel, pixel_mm=0.7)
        noise = noise_of(subject, acquisition)
        correlations[kernel] = np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]

    assert correlations["soft"] > correlations["sharp"] + 0.25
    assert correlations["soft"] > 0.3


def test_streaks_run_from_side_to_side():
    subject, acquisition = quiet_scan(noise_hu=20.0, streaks=1.0)
    noise = noise_of(subject, acquisition)

    along = np.corrcoef(noise[:, :-6].ravel(), noise[:, 6:].ravel())[0, 1]
    across = np.corrcoef(noise[:-6].ravel(), noise[6:].ravel())[0, 1]
    assert along > across + 0.1


def test_an_edge_enhancing_kernel_overshoots():
    extremes = []
    for kernel in ("soft", "sharp"):
        subject, acquisition = quiet_scan(kernel=kernel, noise_hu=0.0, rows=512)
        index, _ = index_of(acquisition, truth(subject)[0].center_mm)
        extremes.append(np.percentile(render(subject, acquisition, [index]), 99.8))

    assert extremes[1] > extremes[0] + 150


def test_metal_saturates_and_causes_streaks():
    rng = np.random.default_rng(8)
    subject = sample_subject(rng, condition="metal")
    side = next(hip.side for hip in truth(subject) if hip.metal)
    natural = replace(subject, hips=tuple(replace(hip, implant=None) for hip in subject.hips))
    _, acquisition = quiet_scan(subject=subject, plane="axial", rows=200)
    head = next(hip for hip in truth(subject) if hip.side == side)
    index, _ = index_of(acquisition, head.neck_mm)

    with_metal = render(subject, acquisition, [index]).astype(int)
    without = render(natural, acquisition, [index])

    assert with_metal.max() == 3071
    assert without.max() < 2200
    assert np.abs(with_metal - without)[(without > 20) & (without < 90)].mean() > 15


def test_unscanned_regions_are_padding():
    subject, acquisition = quiet_scan(slices=3)
    low, high = acquisition.scan_mm
    tall = replace(acquisition, pixel_mm=(high - low) / 200)

    hu = render(subject, tall, [1])[0]

    z = tall.affine()[2, 3] + tall.affine()[2, 1] * np.arange(256)
    assert (hu[(z < low) | (z > high)] == tall.padding_hu).all()
    assert (hu[(z > low + 5) & (z < high - 5)] > tall.padding_hu).any()


def test_a_canonical_volume_runs_from_front_to_back_in_either_order():
    subject, acquisition = quiet_scan(rows=64, slices=20)
    forward = render_volume(subject, acquisition)
    backward = render_volume(subject, replace(acquisition, reverse=True))

    for volume in (forward, backward):
        assert volume.affine[1, 0] > 0
        assert volume.affine[2, 1] < 0
        assert volume.affine[0, 2] > 0
    np.testing.assert_allclose(forward.affine, backward.affine)
    assert np.median(np.abs(forward.hu.astype(int) - backward.hu)) < 8
