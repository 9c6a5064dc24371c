"""Covered: noise at any pixel size, noise that hides the neck, volumes without anatomy.
Not covered: the influence of noise on grades (docs/decisions)."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.hip_volume import LEFT, RIGHT, put, soft_tissue
from tests.support.rule_results import rejection
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.validation.quality import MAX_HIP_NOISE_HU, no_anatomy, noise_hu, too_noisy
from worker.pipeline.volume import Volume

Floats = npt.NDArray[np.floating]


def volume_of(fill: Callable[[np.random.Generator, tuple[int, ...]], Floats]) -> Volume:
    affine = np.array([[0, 0, 1.0, -100], [3, 0, 0, -60], [0, -1, 0, 100], [0, 0, 0, 1]])
    hu = fill(np.random.default_rng(0), (40, 200, 200))
    return Volume(np.clip(hu, -1024, 3071).astype(np.int16), affine)


@pytest.mark.parametrize("pixel_mm", [0.5, 1.0, 2.0])
def test_noise_is_that_of_four_square_millimeters(pixel_mm: float) -> None:
    count = round(160 / pixel_mm)
    noise = np.random.default_rng(0).normal(50, 40 / pixel_mm, (5, count, count))
    affine = np.diag([0.0, 0, 0, 1.0])
    affine[:3, :3] = np.array([[0, 0, pixel_mm], [3, 0, 0], [0, -pixel_mm, 0]])
    affine[:3, 3] = np.add(RIGHT.neck_mm, (-80, -6, 80))

    # A pixel of 1 mm with SD 40 leaves 20 in the mean of four.
    found = noise_hu(Volume(noise.astype(np.int16), affine), RIGHT)
    assert found == pytest.approx(20, rel=0.06)


def test_bone_and_air_beside_the_hip_are_no_noise() -> None:
    plain = soft_tissue(noise_hu=20)
    busy = soft_tissue(noise_hu=20)
    put(busy, RIGHT.center_mm, 24, 700)
    put(busy, (-150.0, 4.0, 10.0), 20, -1000)

    assert noise_hu(busy, RIGHT) == pytest.approx(noise_hu(plain, RIGHT), rel=0.1)


def test_noise_that_hides_the_neck_is_a_reason_and_half_of_it_is_not() -> None:
    reason = rejection(too_noisy(soft_tissue(noise_hu=1.15 * MAX_HIP_NOISE_HU), RIGHT))

    assert reason is not None
    assert reason.code is ReasonCode.OUT_OF_DISTRIBUTION
    assert reason.text.startswith("Noise of ")
    assert "at the right hip, at most 88 HU" in reason.text
    assert rejection(too_noisy(soft_tissue(noise_hu=0.5 * MAX_HIP_NOISE_HU), RIGHT)) is None


def test_noise_on_one_side_leaves_the_other() -> None:
    volume = soft_tissue(noise_hu=10)
    half = volume.hu.shape[2] // 2
    noise = np.random.default_rng(0).normal(0, 120, volume.hu[:, :, :half].shape)
    volume.hu[:, :, :half] += noise.astype(np.int16)

    assert too_noisy(volume, RIGHT) == Reason(
        ReasonCode.OUT_OF_DISTRIBUTION,
        "Noise of 120 HU at the right hip, at most 88 HU are accepted: "
        "it hides 25 HU in the neck.",
    )
    assert rejection(too_noisy(volume, LEFT)) is None


def test_hip_without_soft_tissue_has_no_noise() -> None:
    volume = soft_tissue()
    volume.hu[:] = 900

    assert noise_hu(volume, RIGHT) is None
    assert rejection(too_noisy(volume, RIGHT)) is None


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (lambda rng, size: np.full(size, -1000.0), "no body: 0 ml"),
        (lambda rng, size: rng.normal(-980, 30, size), "no body: 0 ml"),
        (lambda rng, size: np.full(size, 300.0), "no body"),
        (lambda rng, size: rng.uniform(-1024, 3071, size), "no body"),
        (lambda rng, size: rng.normal(0, 500, size), "nothing but noise"),
    ],
    ids=["one value", "air", "a block of bone", "uniform noise", "normal noise"],
)
def test_volumes_without_anatomy_are_rejected(
    fill: Callable[[np.random.Generator, tuple[int, ...]], Floats], words: str
) -> None:
    reason = rejection(no_anatomy(volume_of(fill)))

    assert reason is not None
    assert reason.code is ReasonCode.NO_FEMUR
    assert words in reason.text


def test_noisy_body_is_accepted() -> None:
    assert rejection(no_anatomy(soft_tissue(noise_hu=100))) is None
