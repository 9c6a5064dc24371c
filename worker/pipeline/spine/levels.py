"""Levels of the vertebrae: counted from the sacrum, checked by the last rib."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.femurs.grid import Floats32
from worker.pipeline.lumbar_results import Level
from worker.pipeline.spine.column import STEP_MM, Column

Floats = npt.NDArray[np.float64]
FROM_SACRUM: tuple[Level, ...] = ("L5", "L4", "L3", "L2", "L1")


@dataclass(frozen=True, slots=True)
class LevelParameters:
    """Search for sacrum and last rib. Anatomy; measurements in 0040."""

    # The wings of S1 join its body and reach the ilium. Psoas lies there above S1, except for
    # the transverse processes of L5, which are 10–14 mm high and lie behind.
    wing_behind_mm: tuple[float, float] = (-36.0, -6.0)
    # Without much bone only the cortex of a wing is dense. Its upper end is farther back than
    # the iliac vessels, which contrast medium makes as dense.
    wing_top_behind_mm: tuple[float, float] = (-28.0, -6.0)
    wing_top_mm: float = 6.0
    wing_side_mm: tuple[float, float] = (22.0, 36.0)
    wing_hu: float = 150.0
    wing_share: float = 0.75
    wing_height_mm: float = 16.0
    ilium_behind_mm: tuple[float, float] = (-34.0, 34.0)
    ilium_side_mm: tuple[float, float] = (46.0, 60.0)
    ilium_hu: float = 250.0
    ilium_share: float = 0.04
    ilium_below_mm: float = 40.0
    # The wings begin up to this much above and below the middle of the disc L5/S1.
    wing_from_disc_mm: tuple[float, float] = (-12.0, 16.0)
    # A rib starts behind the body beside its vertebra and reaches farther than a transverse
    # process, which ends 35–50 mm from the middle.
    rib_behind_mm: tuple[float, float] = (-6.0, 50.0)
    rib_side_mm: float = 30.0
    rib_start_mm: float = 38.0
    rib_reach_mm: float = 66.0
    rib_hu: float = 170.0
    # Ribs are 6–12 mm thick. A kidney or bowel with contrast medium beside a transverse process
    # is thicker, and has this attenuation throughout.
    rib_thickness_mm: float = 16.0
    organ_hu: float = 110.0
    organ_smooth_mm: float = 1.6
    # A rib starts beside the upper half of its vertebra, up to this much above its disc.
    rib_above_mm: float = 4.0


PARAMETERS = LevelParameters()


def lumbosacral_disc(column: Column, discs: tuple[float, ...]) -> float | None:
    """Return the position of the disc L5/S1 along the canal, mm; None where it is unclear."""
    wings = _wings_start(column)
    if wings is None:
        return None
    above, below = PARAMETERS.wing_from_disc_mm
    near = [disc for disc in discs if above <= wings - disc <= below]
    return min(near, key=lambda disc: abs(wings - disc)) if near else None


def _wings_start(column: Column) -> float | None:
    """Return where bone begins to join the body with the ilium on both sides, mm."""
    behind, top = PARAMETERS.wing_behind_mm, PARAMETERS.wing_top_behind_mm
    whole, height = _wings(column, behind), round(PARAMETERS.wing_height_mm / STEP_MM)
    upper, top_height = _wings(column, top), round(PARAMETERS.wing_top_mm / STEP_MM)
    runs = np.convolve(whole, np.ones(height), "valid") >= height - 1
    tops = np.convolve(upper, np.ones(top_height), "valid") >= top_height
    ilium = _ilium(column)
    below = round(PARAMETERS.ilium_below_mm / STEP_MM)
    for plane in np.flatnonzero(runs & tops[: len(runs)]):
        if ilium[plane : plane + below].max() >= PARAMETERS.ilium_share:
            return float(plane * STEP_MM)
    return None


def _wings(column: Column, behind: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Return (planes,) whether bone joins the body with the ilium on both sides."""
    low, high = PARAMETERS.wing_side_mm
    sides = [
        (column.box(behind, side).max(axis=1) > PARAMETERS.wing_hu).mean(1)
        for side in ((low, high), (-high, -low))
    ]
    return np.asarray(np.minimum(*sides) >= PARAMETERS.wing_share)


def _ilium(column: Column) -> Floats:
    """Return (planes,) share of dense bone where the ilium is, on the side with less."""
    low, high = PARAMETERS.ilium_side_mm
    sides = [
        (column.box(PARAMETERS.ilium_behind_mm, side) > PARAMETERS.ilium_hu).mean((1, 2))
        for side in ((low, high), (-high, -low))
    ]
    return np.asarray(np.minimum(*sides))


def last_ribs(column: Column, discs: tuple[float, ...]) -> tuple[int | None, int | None]:
    """Return the index of the lowest vertebra with a rib, left and right; None without one.

    Vertebra ``i`` lies between ``discs[i]`` and ``discs[i + 1]``. Bone below the last disc
    belongs to the sacrum and the ilium, where these are in view.
    """
    if len(discs) < 2:
        return None, None
    left = _vertebra_of(_lowest_rib(column, 1.0, discs[-1]), discs)
    right = _vertebra_of(_lowest_rib(column, -1.0, discs[-1]), discs)
    return left, right


def _vertebra_of(start_mm: float | None, discs: tuple[float, ...]) -> int | None:
    if start_mm is None:
        return None
    index = int(np.searchsorted(discs, start_mm + PARAMETERS.rib_above_mm)) - 1
    return index if 0 <= index < len(discs) - 1 else None


def _organs(hu: Floats32) -> npt.NDArray[np.bool_]:
    """Return what is part of something dense that is thicker than a rib, and its surface."""
    smooth = ndimage.gaussian_filter(hu, PARAMETERS.organ_smooth_mm / STEP_MM)
    size = round(PARAMETERS.rib_thickness_mm / STEP_MM)
    dense = (smooth > PARAMETERS.organ_hu).astype(np.uint8)
    # The same as ``binary_opening`` with a cube, one axis after the other.
    thick = ndimage.grey_opening(dense, size=size, mode="constant", cval=0)
    return np.asarray(ndimage.binary_dilation(thick))


def _lowest_rib(column: Column, side: float, end_mm: float) -> float | None:
    """Return where the lowest rib of a side (1: left, −1: right) starts above an end, mm."""
    low, high = PARAMETERS.rib_behind_mm
    rows = (column.behind_mm >= low) & (column.behind_mm <= high)
    out = side * column.left_mm
    columns = out >= PARAMETERS.rib_side_mm
    hu = column.hu[: round(end_mm / STEP_MM), :, columns]
    # Before the rows are chosen: a kidney is thick as a whole only.
    bone = (hu > PARAMETERS.rib_hu) & ~_organs(hu)
    labels, _ = ndimage.label(bone[:, rows], np.ones((3, 3, 3)))
    out = out[columns]
    reached = labels[:, :, out >= PARAMETERS.rib_reach_mm]
    starting = labels[:, :, out <= PARAMETERS.rib_start_mm]
    ribs = np.setdiff1d(np.intersect1d(reached, starting), [0])
    starts = [
        float(np.median(np.nonzero((starting == rib).any(axis=(1, 2)))[0])) * STEP_MM
        for rib in ribs
    ]
    return max(starts, default=None)
