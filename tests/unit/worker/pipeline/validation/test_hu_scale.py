"""Covered: scales that are not HU, and valid volumes that resemble them, in a phantom of fat,
muscle, bone and air. Not covered: simulated and real CT."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.rule_results import rejection
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.hu_scale import not_hu_tissue, not_hu_values
from worker.pipeline.validation.slice_consistency import thumbnail
from worker.pipeline.volume import AcquiredSlices, Volume

Floats = npt.NDArray[np.float64]


def tissues(
    *,
    fat: float = -103.0,
    muscle: float = 52.0,
    fat_share: float = 0.5,
    noise_hu: float = 12.0,
    air: float = -1000.0,
) -> Floats:
    """Return HU of a body with an outer layer of fat around muscle, and bone in the middle."""
    rng = np.random.default_rng(0)
    y, _, x = np.mgrid[-1:1:40j, -1:1:60j, -1:1:80j]
    radius = np.sqrt((y / 0.8) ** 2 + (x / 0.9) ** 2)
    hu = np.full(radius.shape, air)
    hu[radius < 1] = fat
    hu[radius < np.sqrt(1 - fat_share)] = muscle
    hu[radius < 0.15] = 250 + 1500 * rng.random(int((radius < 0.15).sum())) ** 3
    return hu + rng.normal(0, noise_hu, hu.shape)


def checked(hu: Floats, kvp: float | None = None) -> str | None:
    """Return the text of the reason for HU as a loader clips them, None where they pass."""
    clipped = np.clip(np.rint(hu), -1024, 32767).astype(np.int16)
    acquired = AcquiredSlices(np.empty((0, 1, 1), np.float32), (), kvp)
    volume = Volume(clipped, np.eye(4), acquired=acquired)
    reason = rejection(not_hu_values(volume)) or rejection(not_hu_tissue(volume))
    if reason is None:
        return None
    assert reason.code is ReasonCode.NOT_CT
    assert reason.text.startswith("The values are not Hounsfield units: ")
    return reason.text.removeprefix("The values are not Hounsfield units: ")


def without_air(hu: Floats) -> Floats:
    """Return a part of the volume inside of the body."""
    return hu[15:25, :, 8:48]


def with_ascites(hu: Floats, fluid: float) -> Floats:
    """Return the volume with fluid in place of two thirds of its muscle."""
    muscle = (hu > 0) & (hu < 110) & (np.indices(hu.shape)[1] < 36)
    return np.where(muscle, hu - 52 + fluid, hu)


def with_organ(hu: Floats, organ: float) -> Floats:
    """Return the volume with an organ in place of almost half of its muscle."""
    muscle = (hu > 0) & (hu < 110) & (np.indices(hu.shape)[1] < 28)
    return np.where(muscle, hu - 52 + organ, hu)


@pytest.mark.parametrize(
    "hu",
    [
        tissues(),
        tissues(noise_hu=60),
        tissues(noise_hu=80, fat_share=0.6),
        tissues(fat_share=0.85),
        tissues(fat_share=0.06),
        tissues(fat=-130, muscle=66),
        tissues(fat=-90, muscle=44),
        tissues() + 15,
        tissues() - 15,
        tissues() + 24,
        np.where(tissues() < -900, -2000, tissues()),
        np.where(tissues() < -900, -1024, tissues()),
        without_air(tissues()),
        without_air(tissues(fat_share=0.85)),
        np.where(np.indices((40, 60, 80))[2] < 6, 3071, tissues()),
        with_ascites(tissues(), -8),
        with_ascites(tissues(), 6),
        without_air(with_ascites(tissues(), 6)),
        with_organ(tissues(), 130),
        without_air(with_organ(tissues(), 150)),
    ],
    ids=[
        "usual", "low dose", "sharp kernel", "obese", "thin", "80 kVp and contrast medium",
        "140 kVp", "water at 15", "water at −15", "intercept −1000", "padding −2000",
        "air removed", "crop without air", "crop of an obese patient", "metal",
        "ascites below water", "ascites", "crop with ascites", "liver with contrast medium",
        "crop with an organ of the arterial phase",
    ],
)  # fmt: skip
def test_valid_volumes_pass(hu: Floats) -> None:
    assert checked(hu) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hu: hu * 0.5, "0% of the gas lie below -930 HU"),
        (lambda hu: hu * 0.7, "0% of the gas lie below -930 HU"),
        (lambda hu: hu * 0.85, "0% of the gas lie below -930 HU"),
        (lambda hu: hu * 1.3, "HU apart, 113 to 178 are expected"),
        (lambda hu: hu * 2.0, "a main mode of tissue lies at -2"),
        (lambda hu: without_air(hu) * 0.7, "HU apart, 113 to"),
        (lambda hu: without_air(hu) * 2.0, "HU apart, 113 to"),
        (lambda hu: without_air(with_ascites(hu, 6)) * 0.5, "HU apart, 113 to"),
        (lambda hu: (hu + 1024) * 1.2 - 1024, "a main mode of tissue lies at 2"),
        (lambda hu: hu + 1024, "lie above 300 HU"),
        (lambda hu: hu + 1000, "lie above 300 HU"),
        (lambda hu: without_air(hu) + 1024, "lie above 300 HU"),
        (lambda hu: hu - 1024, "no tissue has its mode between 0 and 115 HU"),
        (lambda hu: hu + 100, "of the gas lie below -930 HU"),
        (lambda hu: without_air(hu) + 100, "no tissue has its mode"),
        (lambda hu: without_air(hu) - 100, "no tissue has its mode"),
        (lambda hu: np.clip((hu + 160) / 400 * 255, 0, 255), "they span 255 HU"),
        (lambda hu: np.clip((hu + 500) / 2000 * 255, 0, 255), "they span 255 HU"),
        (lambda hu: np.clip(hu, -160, 240), "they span 400 HU"),
        (lambda hu: np.clip(hu, -500, 1500), "0% of the gas"),
        (lambda hu: -hu, "lie above 300 HU"),
        (lambda hu: 2047 - hu, "lie above 300 HU"),
        (lambda hu: -without_air(hu), "a main mode of tissue lies at -52 HU"),
    ],
    ids=[
        "×0.5", "×0.7", "×0.85", "×1.3", "×2", "crop ×0.7", "crop ×2", "ascites ×0.5",
        "slope 1.2",
        "intercept 0",
        "intercept −24", "crop with intercept 0", "intercept twice", "+100", "crop +100",
        "crop −100", "8 bit", "8 bit of a wide window", "clipped to 40/400",
        "clipped to 500/2000", "negative", "inverted 12 bit", "negative crop",
    ],
)  # fmt: skip
@pytest.mark.covers("H2")
def test_other_scales_are_refused_with_what_was_found(
    change: Callable[[Floats], Floats], words: str
) -> None:
    assert words in str(checked(change(tissues())))


@pytest.mark.parametrize(
    ("fat", "kvp"),
    [(-90, 140), (-103, 120), (-123, 120), (-127, 110), (-132, 100), (-138, 90), (-145, 80)],
)
def test_fat_of_valid_volumes_passes_at_its_tube_voltage(fat: float, kvp: float) -> None:
    assert checked(without_air(tissues(fat=fat)), kvp) is None
    assert checked(with_organ(tissues(fat=fat), 130), kvp) is None


@pytest.mark.parametrize(
    ("scale", "kvp", "words"),
    [
        (1.3, 120, "fat at -132 HU, -130 to -65 are expected."),
        (1.4, 100, "fat at -142 HU, -140 to -65 are expected."),
        (1.45, 110, "fat at -152 HU, -130 to -65 are expected."),
    ],
)
@pytest.mark.covers("H2")
def test_a_larger_scale_without_air_moves_fat_beyond_its_tube_voltage(
    scale: float, kvp: float, words: str
) -> None:
    scaled = without_air(tissues(muscle=30)) * scale

    assert checked(scaled, kvp) == words
    assert checked(scaled) is None  # any voltage


def test_air_of_one_value_narrows_the_range_of_fat() -> None:
    scaled = tissues(muscle=30) * 1.2

    assert checked(scaled, 120) == "fat at -122 HU, -120 to -65 are expected."
    assert checked(scaled, 100) is None
    assert checked(tissues(fat=-123), 120) is None  # its air has noise


def test_lung_and_room_air_pass_and_tissue_that_fills_the_lungs_too() -> None:
    chest = tissues()
    chest[14:26, :, 20:34] = np.random.default_rng(1).normal(-850, 40, (12, 60, 14))

    assert checked(chest) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda hu: np.clip((hu + 160) / 400 * 255, 0, 255),  # slices of air get one value
        lambda hu: hu + 1024,  # the lost intercept
    ],
)
def test_a_wrong_scale_is_named_before_slices_that_it_makes_unlike(
    change: Callable[[Floats], Floats],
) -> None:
    hu = np.clip(np.rint(change(tissues())), -1024, 3071).astype(np.int16)
    shown = np.stack([thumbnail(image.astype(np.float32)) for image in hu])
    acquired = AcquiredSlices(shown, tuple(f"1.{number}" for number in range(len(hu))))

    checks = eligibility.check_volume(Volume(hu, np.eye(4), acquired=acquired))

    assert [(one.rule, one.code) for one in checks] == [("values", ReasonCode.NOT_CT)]


def test_one_value_is_left_to_the_rule_for_anatomy() -> None:
    assert checked(np.full((12, 20, 20), 300.0)) is None
    assert checked(np.full((12, 20, 20), -1000.0)) is None


def test_passing_result_names_the_modes() -> None:
    hu = np.clip(np.rint(tissues()), -1024, 3071).astype(np.int16)

    assert "Fat at -102 HU, muscle at 53 HU." in str(not_hu_tissue(Volume(hu, np.eye(4))))
