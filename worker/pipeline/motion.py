"""Warning for patient motion while a hip was scanned.

A scanner acquires the body from one height to the next, so a leg that moves is shifted by a few
mm from one height on, in axial slices and in their reformats. Slanting bone shifts as well, but
evenly: a step is the difference of a shift from those above and below it.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.statements import SIDE_WORDS
from worker.pipeline.volume import Femur, Volume

Floats = npt.NDArray[np.float32]

# 188 hips without motion stayed under 2.0 mm in our real and simulated volumes; of steps of
# 5 mm that were added to them 95 % measured more than 3.2 mm.
MOTION_WARNING_MM = 2.5

BESIDE_MM, ABOVE_MM, BELOW_MM = 60.0, 35.0, 75.0
LEVEL_MM = 2.5
PIXEL_MM = 2.0
# Compared levels are 5 mm apart, so that interpolated slices show the whole step.
LAG = 2
AROUND = 11
SMOOTH_MM = 3.0
RANGE_HU = (-150, 600)
MIN_LEVELS = 16
MIN_PIXELS = 8


def motion_warning(volume: Volume, femurs: Iterable[Femur]) -> str | None:
    """Return a warning where a hip is shifted from one height to the next."""
    found = {femur.side: step_mm(volume, femur) for femur in femurs}
    moved = [
        f"{step:.0f} mm at the {SIDE_WORDS[side]} hip"
        for side, step in found.items()
        if step is not None and step >= MOTION_WARNING_MM
    ]
    if not moved:
        return None
    return f"Motion: from one height to the next the images shift by {', '.join(moved)}."


def step_mm(volume: Volume, femur: Femur) -> float | None:
    """Return the largest sudden shift across the body axis from head to shaft.

    None where too little is in the field of view.
    """
    levels, pixel_mm = _levels(volume, femur)
    slices, count, columns = levels.shape
    if count < MIN_LEVELS or slices < MIN_PIXELS or columns < MIN_PIXELS:
        return None
    shifts = shifts_mm(levels, pixel_mm)
    usual = ndimage.median_filter(shifts, (1, AROUND), mode="nearest")
    return float(np.hypot(*(shifts - usual)).max())


def shifts_mm(levels: Floats, pixel_mm: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Return (2, count − LAG) shifts backward and to the left, to the level ``LAG`` below.

    The least-squares solution of the brightness constancy equation over a whole level (Lucas
    and Kanade 1981). ``levels`` : (slices, count, columns).
    """
    upper, lower = levels[:, :-LAG], levels[:, LAG:]
    change, middle = lower - upper, (upper + lower) / 2
    back = np.gradient(middle, pixel_mm[0], axis=0)
    left = np.gradient(middle, pixel_mm[1], axis=2)

    def total(product: Floats) -> npt.NDArray[np.float64]:
        return np.asarray(product.sum(axis=(0, 2)), np.float64)

    bb, bl, ll = total(back * back), total(back * left), total(left * left)
    b, l = -total(back * change), -total(left * change)  # noqa: E741
    determinant = np.maximum(bb * ll - bl**2, 1e-6)
    return np.stack([ll * b - bl * l, bb * l - bl * b]) / determinant


def _levels(volume: Volume, femur: Femur) -> tuple[Floats, tuple[float, float]]:
    """Return means over ``LEVEL_MM`` and ``PIXEL_MM``, and the mm of a slice and a column.

    (slices, levels, columns), smoothed across the body axis only.
    """
    slice_mm, row_mm, column_mm = volume.spacing_mm
    reach = np.array([[-BESIDE_MM, -BESIDE_MM, ABOVE_MM], [BESIDE_MM, BESIDE_MM, -BELOW_MM]])
    box = volume.hu[volume.box_around(np.array(femur.center_mm) + reach)]
    rows, columns = max(1, round(LEVEL_MM / row_mm)), max(1, round(PIXEL_MM / column_mm))
    slices, count, across = box.shape[0], box.shape[1] // rows, box.shape[2] // columns
    kept = np.clip(box[:, : count * rows, : across * columns], *RANGE_HU)
    # (slices, levels, rows of a level, columns, pixels of a column)
    means = kept.reshape(slices, count, rows, across, columns).mean((2, 4), dtype=np.float32)
    pixel_mm = slice_mm, column_mm * columns
    sigma = SMOOTH_MM / pixel_mm[0], 0, SMOOTH_MM / pixel_mm[1]
    return np.asarray(ndimage.gaussian_filter(means, sigma)), pixel_mm
