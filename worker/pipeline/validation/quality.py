"""Rules for image quality: anatomy in the volume, noise at the hip.

Noise is the SD of means over 4 mm², which does not depend on the pixel size; the region in the
neck holds about 50 such patches. It is measured in even tissue on differences of neighbors, so
that anatomy does not count.
"""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.statements import SIDE_WORDS
from worker.pipeline.validation.blocks import block_sums
from worker.pipeline.volume import Femur, Volume

Hu = npt.NDArray[np.int16]
Means = npt.NDArray[np.float32]

# Grades differ by about 25 HU in the neck. Its mean over 50 independent patches is uncertain by
# SD / 7: by a fifth of that difference from 35 HU on; from 88 HU on two SD are all of it.
NECK_PATCHES = 50
DIFFERENCE_HU = 25.0
NOISE_WARNING_HU = DIFFERENCE_HU / 5 * math.sqrt(NECK_PATCHES)
MAX_HIP_NOISE_HU = DIFFERENCE_HU / 2 * math.sqrt(NECK_PATCHES)
# Beyond that no bone is visible either.
MAX_VOLUME_NOISE_HU = 150.0

PATCH_MM = 2.0
EVEN_HU = 150.0
MAD_TO_SD = 1.4826
MIN_DIFFERENCES = 100
REACH_MM = 70.0
SLICES_AROUND = 2
SAMPLED_SLICES = 8
# A child's pelvis cut to one hip holds more.
MIN_TISSUE_ML = 300.0


def no_anatomy(volume: Volume) -> RuleResult:
    """Reject empty air, a block of one value, and noise alone before bone is searched."""
    step = max(1, len(volume.hu) // SAMPLED_SLICES)
    means, patch_mm2 = patches(volume.hu[step // 2 :: step], volume.spacing_mm)
    patch_ml = patch_mm2 * volume.spacing_mm[0] * step / 1000
    even = _even(means)
    tissue_ml = float(np.count_nonzero(even)) * patch_ml
    if tissue_ml < MIN_TISSUE_ML:
        text = f"The images show no body: {tissue_ml:.0f} ml of soft tissue."
        return Reason(ReasonCode.NO_FEMUR, text)
    sd = _noise_in(means, even, patch_mm2)
    if sd is not None and sd > MAX_VOLUME_NOISE_HU:
        text = f"The images show nothing but noise (SD {sd:.0f} HU in soft tissue)."
        return Reason(ReasonCode.NO_FEMUR, text)
    noise = "too little of it to measure noise" if sd is None else f"noise of {sd:.0f} HU in it"
    return f"{tissue_ml:.0f} ml of soft tissue, {noise}."


def too_noisy(volume: Volume, femur: Femur) -> RuleResult:
    """Reject noise that hides the difference between the grades in the neck."""
    sd = noise_hu(volume, femur)
    if sd is None:
        return "Too little even soft tissue at the hip to measure noise."
    if sd <= MAX_HIP_NOISE_HU:
        return f"Noise of {sd:.0f} HU."
    text = (
        f"Noise of {sd:.0f} HU at the {SIDE_WORDS[femur.side]} hip, at most "
        f"{MAX_HIP_NOISE_HU:.0f} HU are accepted: it hides {DIFFERENCE_HU:.0f} HU in the neck."
    )
    return Reason(ReasonCode.OUT_OF_DISTRIBUTION, text)


def noise_warning(volume: Volume, femurs: Iterable[Femur]) -> str | None:
    """Return a warning where noise makes the mean of a neck uncertain."""
    found = {femur.side: noise_hu(volume, femur) for femur in femurs}
    noisy = [
        f"{hu:.0f} HU at the {SIDE_WORDS[side]} hip"
        for side, hu in found.items()
        if hu is not None and hu > NOISE_WARNING_HU
    ]
    if not noisy:
        return None
    uncertain = DIFFERENCE_HU / 5
    return (
        f"Noise of {', '.join(noisy)}: from {NOISE_WARNING_HU:.0f} HU on the mean of a neck is "
        f"uncertain by {uncertain:.0f} HU and more."
    )


def noise_hu(volume: Volume, femur: Femur) -> float | None:
    """Return the noise in soft tissue around the neck, None where there is too little of it."""
    middle = volume.to_index(femur.neck_mm)
    reach = np.array([SLICES_AROUND, *(REACH_MM / np.array(volume.spacing_mm[1:]))])
    low = np.clip(np.rint(middle - reach), 0, volume.hu.shape).astype(int)
    high = np.clip(np.rint(middle + reach) + 1, 0, volume.hu.shape).astype(int)
    box = volume.hu[tuple(map(slice, low.tolist(), high.tolist()))]
    return noise_of(*patches(box, volume.spacing_mm))


def noise_of(means: Means, patch_mm2: float) -> float | None:
    """Return the SD over 4 mm² from the median difference of neighbors in even tissue."""
    return _noise_in(means, _even(means), patch_mm2)


def _noise_in(means: Means, even: npt.NDArray[np.bool_], patch_mm2: float) -> float | None:
    differences = np.concatenate(
        [
            (means[:, 1:] - means[:, :-1])[even[:, 1:] & even[:, :-1]],
            (means[:, :, 1:] - means[:, :, :-1])[even[:, :, 1:] & even[:, :, :-1]],
        ]
    )
    if len(differences) < MIN_DIFFERENCES:
        return None
    sd = MAD_TO_SD * _median(np.abs(differences)) / math.sqrt(2)
    return sd * math.sqrt(patch_mm2) / PATCH_MM


def _median(values: npt.NDArray[np.float32]) -> float:
    """Return the median of finite values, in a tenth of the time of ``numpy.median``."""
    middle = [(len(values) - 1) // 2, len(values) // 2]
    return float(np.partition(values, middle)[middle].mean())


def patches(hu: Hu, spacing_mm: tuple[float, float, float]) -> tuple[Means, float]:
    """Return in-plane means over about 2 × 2 mm, (slices, rows, columns), and their mm²."""
    _, row_mm, column_mm = spacing_mm
    high, wide = (max(1, round(PATCH_MM / mm)) for mm in (row_mm, column_mm))
    means = block_sums(hu, high, wide) / np.float32(high * wide)
    return np.asarray(means, np.float32), high * row_mm * wide * column_mm


def _even(means: Means) -> npt.NDArray[np.bool_]:
    """Return the mask of fat, muscle and organs that lie a patch away from air and bone."""
    padded = np.pad(means, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    around = (down[:, :, :-2] + down[:, :, 1:-1] + down[:, :, 2:]) / np.float32(9)
    return np.asarray(np.abs(around) < EVEN_HU)
