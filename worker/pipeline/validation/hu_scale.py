"""Rules for values that are not Hounsfield units although a rescale says so.

Air, fat and muscle fill most of every CT and have known HU at every voltage. They are looked up
in the histogram of all voxels; what is not in view is not required.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.validation.blocks import block_sums
from worker.pipeline.volume import AIR_HU, Volume

Counts = npt.NDArray[np.int64]

# Experiment for all limits: 40 simulated volumes and 50 reslicings of ten real CT, as they are
# and multiplied, shifted, windowed and inverted. The rule refused none of these as they are,
# nor of 78 other simulated volumes. Of those altered, with air in view: 0.5–0.9 times HU, lost
# or doubled intercept, windows and 8 bit 100 %, 1.3 times 79 %, 1.15 times 18 %; without air:
# 0.7 times 78 %, 1.3 times 27 %. The modes of bodies with fluid were changed since; rates of
# altered volumes were not measured again.
# Every second slice, every third row and column (cost). Fat and muscle are looked up in means
# over three rows and columns of every fourth slice: noise of 60 HU a pixel, 20 to 25 HU over
# 4 mm², makes one mode of both.
STEPS, MEAN_STEPS = (2, 3, 3), (4, 3, 3)
HIGHEST_HU = 4096
# Gas is everything up to here: lung, bowel, room. Where there is some, part of it is air: as it
# is 50–97 % of the gas lie below AIR_LIMIT_HU, at 0.9 times HU nothing.
GAS_HU, MIN_GAS = -400, 0.02
AIR_LIMIT_HU, MIN_AIR = -930, 0.02
# Bone, contrast medium and metal: at most 4 % as it is; half of a scale without intercept.
DENSE_HU, MAX_DENSE = 300, 0.15
# From marrow or fat to cortical bone: 1,600 and more as it is; a window of 400 HU has 400.
MIN_SPAN_HU, TAIL = 500, 1e-4
# Highest of 5 HU bins after a Gaussian of 10 HU; two modes only where the counts between them
# fall below half of the lower one, so that edema, and a lack of fat or muscle, do not count.
BIN_HU, SMOOTH_BINS, MAX_VALLEY = 5, 2.0, 0.5
FAT_HU, MUSCLE_HU = (-200, -20), (-10, 150)
# As it is: fat −112 to −92, muscle 33 to 78, 135 to 180 apart; 0.7 times HU: 88 to 124 apart.
# Added for 80 kVp (fat −130) and water at ±15 HU; muscle with edema or a tumor 115 HU from fat.
FAT_RANGE_HU, MUSCLE_RANGE_HU, DISTANCE_HU = (-155, -65), (0, 115), (113, 205)
# Values beyond 1.05 times HU move room air below the end of the scale, where all of it is one
# value: then there is no noise to widen the limit. As it is 6 % of the gas and more lie between
# the end of the scale and AIR_LIMIT_HU, at 1.2 times HU 0.4–7 %, except where air was replaced.
CLIPPED_SHARE, CLIPPED_DISTANCE_HU = 0.06, 178
# Fat is nearly the same in all patients, and contrast medium does not change it: 4,000 samples
# of abdominal fat have −123 to −89 HU in 95 % (https://pubmed.ncbi.nlm.nih.gov/37296765), so
# that 3 SD end at −132 HU. From 140 to 80 kV it falls by about 15 HU
# (doi:10.1016/j.nut.2017.12.016). From each tube voltage on, in kV: the lowest mode, and that
# where all air is one value. Below, and where a voltage is missing, ``FAT_RANGE_HU`` holds.
# Experiment: docs/decisions/0046-scale-without-air.md.
LOWEST_FAT_HU = ((110.0, -130, -120), (90.0, -140, -130))
# A mode of muscle counts from this share of the highest mode on, and from this multiple of the
# voxels between gas and fat on: twice subtracted intercepts leave a slope of bone there.
MIN_MODE, MIN_RISE, PARTIAL_HU = 0.05, 2.0, -250
# Modes from this share of the highest one on are fat or muscle, or beside both of them organs
# with contrast medium (0.5 at 128 and 133 HU in 2 of 300 other simulated volumes). As it is at
# most 0.2 elsewhere; stored values times 1.2, or 100 HU less, have both outside of the ranges.
MAIN_MODE = 0.5
# Ascites may be the highest mode beside fat. Then the next mode above it is that of muscle, if
# it has this share of it: 0.7 times HU leave muscle above and nothing beside it.
FLUID_HU, MIN_BESIDE_FLUID = (-20, 20), 0.2
# Less variation, or hardly anything but gas, is no body; ``quality.no_anatomy`` says so.
FLAT_HU, MIN_TISSUE = 20, 0.002


@dataclass(frozen=True, slots=True)
class HuModes:
    """Modes of fat and muscle, HU; ``clear`` : whether the histogram falls between them."""

    fat: int
    muscle: int
    clear: bool

    @property
    def distance(self) -> int:
        """Distance of both modes in HU."""
        return self.muscle - self.fat


@dataclass(frozen=True, slots=True)
class TissueLimits:
    """Largest distance of fat and muscle, and lowest mode of fat, in HU."""

    distance_hu: int
    lowest_fat_hu: int


def not_hu_values(volume: Volume) -> RuleResult:
    """Reject volumes in which air or dense values are not where HU put them.

    Slices of two patients do not change the result, so that it precedes their comparison.
    """
    counts = histogram(volume)
    low, high = _span(counts)
    if not _holds_tissue(counts):
        return f"No tissue to compare, from {low} to {high} HU."
    fault = _fault_of_values(counts, high - low)
    return f"From {low} to {high} HU." if fault is None else _reason(fault)


def not_hu_tissue(volume: Volume) -> RuleResult:
    """Reject volumes in which fat or muscle are not where HU put them."""
    means = histogram_of_means(volume)
    if not _holds_tissue(means):
        return "No tissue to compare."
    modes = tissue_modes(means)
    fault = _fault_of_tissue(means, modes, _limits_of(volume, modes))
    if fault is not None:
        return _reason(fault)
    if not modes.clear:
        return "No clear fat or muscle."
    return f"Fat at {modes.fat} HU, muscle at {modes.muscle} HU."


def _reason(fault: str) -> Reason:
    return Reason(ReasonCode.NOT_CT, f"The values are not Hounsfield units: {fault}.")


def _holds_tissue(counts: Counts) -> bool:
    low, high = _span(counts)
    tissue = counts[GAS_HU - AIR_HU :].sum()
    return high - low >= FLAT_HU and bool(tissue >= MIN_TISSUE * counts.sum())


def histogram(volume: Volume) -> Counts:
    """Return the counts of the values from ``AIR_HU`` on, 1 HU each."""
    sampled = volume.hu[tuple(slice(None, None, n) for n in _steps(volume, STEPS))]
    return _counts(sampled)


def histogram_of_means(volume: Volume) -> Counts:
    """Return the counts of means over neighboring rows and columns, 1 HU each."""
    slices, high, wide = _steps(volume, MEAN_STEPS)
    sums = block_sums(volume.hu[::slices], high, wide)
    return _counts(np.rint(sums / np.float32(high * wide)))


def _steps(volume: Volume, steps: tuple[int, int, int]) -> tuple[int, ...]:
    """Return steps, 1 along an axis that has hardly more voxels."""
    return tuple(
        step if n > 2 * step else 1 for step, n in zip(steps, volume.hu.shape, strict=True)
    )


def _counts(hu: npt.NDArray[np.integer] | npt.NDArray[np.floating]) -> Counts:
    values = hu.astype(np.intp).ravel()  # as bincount needs them
    values -= AIR_HU
    np.clip(values, 0, HIGHEST_HU - AIR_HU, out=values)
    return np.bincount(values, minlength=HIGHEST_HU - AIR_HU + 1)


def tissue_modes(counts: Counts) -> HuModes:
    """Return the highest modes where fat and muscle are looked for."""
    smooth, centers = _smooth(counts)
    fat, muscle = (_highest(smooth, centers, among) for among in (FAT_HU, MUSCLE_HU))
    if centers[muscle] <= FLUID_HU[1]:
        muscle = _beside_fluid(counts, muscle)
    valley = smooth[fat : muscle + 1].min()
    clear = bool(valley < MAX_VALLEY * min(smooth[fat], smooth[muscle]))
    return HuModes(int(centers[fat]), int(centers[muscle]), clear)


def _beside_fluid(counts: Counts, fluid: int) -> int:
    """Return the bin of the highest mode of muscle above that of fluid, if there is one."""
    tissue, centers, modes = _tissue(counts)
    muscle = modes & _inside(centers, (FLUID_HU[1], MUSCLE_RANGE_HU[1]))
    above = np.where(muscle & (tissue >= MIN_BESIDE_FLUID * tissue[fluid]), tissue, -1.0)
    return int(above.argmax()) if above.max() > 0 else fluid


def _fault_of_values(counts: Counts, span: int) -> str | None:
    """Return what is not where HU put it among air and dense values, None where all is."""
    total, gas = int(counts.sum()), _gas(counts)
    air = int(counts[: AIR_LIMIT_HU - AIR_HU].sum())
    dense = int(counts[DENSE_HU - AIR_HU + 1 :].sum()) / total
    if span < MIN_SPAN_HU:
        return f"they span {span} HU, at least {MIN_SPAN_HU} are expected"
    if gas >= MIN_GAS * total and air < MIN_AIR * gas:
        return f"{air / gas:.0%} of the gas lie below {AIR_LIMIT_HU} HU, where air is"
    if dense > MAX_DENSE:
        return f"{dense:.0%} lie above {DENSE_HU} HU, at most {MAX_DENSE:.0%} are expected"
    return None


def _fault_of_tissue(means: Counts, modes: HuModes, limits: TissueLimits) -> str | None:
    """Return which mode of fat or muscle is not where HU put it, None where both are."""
    if not _has_muscle(means):
        low, high = MUSCLE_RANGE_HU
        return f"no tissue has its mode between {low} and {high} HU, where muscle is"
    stray = _stray_mode(means)
    if stray is not None:
        return f"a main mode of tissue lies at {stray} HU, where neither fat nor muscle is"
    if not modes.clear:
        return None
    if not DISTANCE_HU[0] <= modes.distance <= limits.distance_hu:
        return (
            f"fat at {modes.fat} HU and muscle at {modes.muscle} HU, {modes.distance} HU "
            f"apart, {DISTANCE_HU[0]} to {limits.distance_hu} are expected"
        )
    for name, hu, (low, high) in (
        ("fat", modes.fat, (limits.lowest_fat_hu, FAT_RANGE_HU[1])),
        ("muscle", modes.muscle, MUSCLE_RANGE_HU),
    ):
        if not low <= hu <= high:
            return f"{name} at {hu} HU, {low} to {high} are expected"
    return None


def _limits_of(volume: Volume, modes: HuModes) -> TissueLimits:
    """Return the limits for the tube voltage, narrower where all air is one value."""
    kvp = None if volume.acquired is None else volume.acquired.kvp
    of_voltage = (
        limits for least_kv, *limits in LOWEST_FAT_HU if kvp is not None and kvp >= least_kv
    )
    lowest, lowest_if_clipped = next(of_voltage, (FAT_RANGE_HU[0], FAT_RANGE_HU[0]))
    outside = modes.distance > CLIPPED_DISTANCE_HU or modes.fat < lowest_if_clipped
    if outside and _is_clipped(histogram(volume)):
        return TissueLimits(CLIPPED_DISTANCE_HU, lowest_if_clipped)
    return TissueLimits(DISTANCE_HU[1], lowest)


def _gas(counts: Counts) -> int:
    return int(counts[: GAS_HU - AIR_HU].sum())


def _is_clipped(counts: Counts) -> bool:
    """Return whether there is air, and nearly all of it has the lowest value."""
    gas, varied = _gas(counts), int(counts[1 : AIR_LIMIT_HU - AIR_HU].sum())
    return bool(gas >= MIN_GAS * counts.sum() and varied < CLIPPED_SHARE * gas)


def _has_muscle(counts: Counts) -> bool:
    """Return whether soft tissue has a mode where muscle is, and no slope of other values."""
    tissue, centers, modes = _tissue(counts)
    partial = tissue[centers < PARTIAL_HU].max()
    least = max(MIN_MODE * tissue.max(), MIN_RISE * partial)
    return bool((modes & _inside(centers, MUSCLE_RANGE_HU) & (tissue >= least)).any())


def _stray_mode(counts: Counts) -> int | None:
    """Return the HU of a main mode of tissue that is neither fat nor muscle."""
    tissue, centers, modes = _tissue(counts)
    soft = _inside(centers, (FLUID_HU[0], MUSCLE_RANGE_HU[1]))
    fat = _inside(centers, FAT_RANGE_HU)
    main = modes & (tissue >= MAIN_MODE * tissue.max())
    stray = centers[main & ~(fat | soft)]
    if (main & fat).any() and (main & _inside(centers, MUSCLE_RANGE_HU)).any():
        stray = stray[stray < MUSCLE_RANGE_HU[0]]  # above: organs with contrast medium
    return int(stray[0]) if stray.size else None


def _tissue(
    counts: Counts,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the smoothed counts without gas, the HU of their centers, and which are modes."""
    smooth, centers = _smooth(counts)
    tissue = np.where(centers > GAS_HU, smooth, 0)
    modes = (tissue >= np.roll(tissue, 1)) & (tissue >= np.roll(tissue, -1)) & (tissue > 0)
    return tissue, centers, modes


def _inside(centers: npt.NDArray[np.int64], among: tuple[int, int]) -> npt.NDArray[np.bool_]:
    return (centers >= among[0]) & (centers <= among[1])


def _smooth(counts: Counts) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the smoothed counts of bins, and the HU of their centers."""
    bins = len(counts) // BIN_HU
    sums = counts[: bins * BIN_HU].reshape(bins, BIN_HU).sum(axis=1).astype(np.float64)
    smooth = ndimage.gaussian_filter1d(sums, SMOOTH_BINS)
    return np.asarray(smooth), np.arange(bins) * BIN_HU + AIR_HU + BIN_HU // 2


def _highest(
    smooth: npt.NDArray[np.float64], centers: npt.NDArray[np.int64], among: tuple[int, int]
) -> int:
    return int(np.where(_inside(centers, among), smooth, -1.0).argmax())


def _span(counts: Counts) -> tuple[int, int]:
    """Return the lowest and the highest HU without the outermost ``TAIL`` of the voxels."""
    shares = np.cumsum(counts) / counts.sum()
    low, high = np.searchsorted(shares, [TAIL, 1 - TAIL])
    return int(low) + AIR_HU, int(high) + AIR_HU
