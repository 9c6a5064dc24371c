"""Borders of the femoral neck: outer surface of the bone, and whether a cortex is seen.

Everything works on a straightened picture of the neck: rows run along its axis away from the
head, columns across it. Only the picture is used: the border lies where HU fall outward.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, map_coordinates

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

STEP_MM = 0.5

# A border nearer or farther than usual is less probable; cost a radius of the head.
UNUSUAL_COST = 0.5
EDGE_SIGMA_MM = 1.0
CLEAR_FALL_HU_PER_MM = 150.0
MAX_SLOPE, SLOPE_COST = 6, 0.01
BORDER_SIGMA_MM = 1.5

DEPTH_MM = np.arange(-5.0, 14.0, 0.25)
BEYOND_CORTEX = DEPTH_MM > 7
AROUND_BONE = DEPTH_MM <= -1.5
IN_CORTEX = np.abs(DEPTH_MM - 2.5) <= 3.5
PROFILE_SIGMA_MM = 3.0
# Denser than enhanced muscle, and set off from what lies around it.
MIN_CORTEX_HU, MIN_CONTRAST_HU = 100.0, 50.0


@dataclass(frozen=True, slots=True)
class BorderRange:
    """Distances of a border from the axis of the neck, in radii of the head."""

    nearest: float
    usual: float
    farthest: float


# 0010, 0035: above and below, where a neck flares into the trochanters; in front and behind.
HEIGHT = BorderRange(0.35, 0.75, 2.0)
DEPTH = BorderRange(0.35, 0.55, 0.85)


@dataclass(frozen=True, slots=True, eq=False)
class Border:
    """One side of the neck; one value a row of the straightened picture.

    ``outer_mm`` : distance from the axis to the outer surface of the bone. ``seen`` : rows with
    a visible cortex.
    ``cortex_hu``, ``marrow_hu`` : peak of the cortex, and median of the bone inside it.
    """

    outer_mm: Floats
    seen: Bools
    cortex_hu: Floats
    marrow_hu: Floats


def find_border(
    hu: Floats, across_mm: Floats, radius_mm: float, radii: BorderRange = HEIGHT
) -> Border:
    """Find the border on the side of growing columns.

    ``hu`` : (rows, columns) straightened picture, ``STEP_MM`` a pixel. ``across_mm`` :
    (columns,) distances from the axis. ``radius_mm`` : radius of the femoral head. ``radii`` :
    where the border may be.
    """
    outer_mm = gaussian_filter1d(
        _trace(hu, across_mm / radius_mm, radii) * radius_mm,
        BORDER_SIGMA_MM / STEP_MM,
        mode="nearest",
    )
    profiles = _profiles(hu, across_mm, outer_mm)
    peak = np.where(IN_CORTEX, profiles, -np.inf).argmax(axis=1)[:, None]
    cortex = np.take_along_axis(profiles, peak, axis=1)
    marrow = np.median(profiles[:, BEYOND_CORTEX], axis=1, keepdims=True)
    around = profiles[:, AROUND_BONE].min(axis=1, keepdims=True)
    seen = (cortex >= MIN_CORTEX_HU) & (cortex - around >= MIN_CONTRAST_HU)
    return Border(outer_mm, seen[:, 0], cortex[:, 0], marrow[:, 0])


def _trace(hu: Floats, across: Floats, radii: BorderRange) -> Floats:
    """Return the (rows,) distance of the border: the path of the clearest falls of HU.

    ``across`` : (columns,) distances from the axis; they and the result in radii of the head.

    A shortest path by dynamic programming, at most ``MAX_SLOPE`` columns a row; of equally
    clear falls the one at a usual distance is taken.
    """
    fall = -gaussian_filter1d(hu, EDGE_SIGMA_MM / STEP_MM, axis=1, order=1) / STEP_MM
    fall = gaussian_filter1d(fall, EDGE_SIGMA_MM / STEP_MM, axis=0)
    usable = (across >= radii.nearest) & (across <= radii.farthest)
    gain = np.clip(fall[:, usable] / CLEAR_FALL_HU_PER_MM, 0, 1)
    gain -= UNUSUAL_COST * np.abs(across[usable] - radii.usual)
    moves = np.arange(-MAX_SLOPE, MAX_SLOPE + 1)
    best, came = gain[0], np.zeros(gain.shape, np.intp)
    for row in range(1, len(gain)):
        padded = np.pad(best, MAX_SLOPE, constant_values=-np.inf)
        options = np.lib.stride_tricks.sliding_window_view(padded, len(moves))
        options = options - SLOPE_COST * moves**2
        came[row] = options.argmax(axis=1) - MAX_SLOPE
        best = options.max(axis=1) + gain[row]
    path = np.empty(len(gain), np.intp)
    path[-1] = best.argmax()
    for row in range(len(gain) - 1, 0, -1):
        path[row - 1] = path[row] + came[row, path[row]]
    return np.asarray(across[usable][path])


def _profiles(hu: Floats, across_mm: Floats, outer_mm: Floats) -> Floats:
    """Return (rows, depths) HU from outside the bone inward, smoothed along the rows."""
    columns = (outer_mm[:, None] - DEPTH_MM - across_mm[0]) / STEP_MM
    rows = np.broadcast_to(np.arange(len(hu))[:, None], columns.shape)
    sampled = map_coordinates(hu, (rows, columns), order=1, mode="nearest")
    return np.asarray(gaussian_filter1d(sampled, PROFILE_SIGMA_MM / STEP_MM, axis=0))
