"""Attenuation of the aorta in front of the spine, by which contrast medium is seen.

A tube is looked for to the left and in front of the canal, through all its levels: a disc of
one attenuation with fat or lung around most of it. Positions are those of ``femurs.grid``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.femurs.grid import Floats32, Grid, ramp
from worker.pipeline.spine.canal import Canal, best_path, longest_run
from worker.pipeline.spine.column import OUTSIDE_HU
from worker.pipeline.spine.ring import Ring

Integers = npt.NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class AortaParameters:
    """Search for the aorta. Anatomy; measurements in 0040."""

    # Where its middle may be, from the canal. A body is 26–42 mm deep, an aorta 15–30 mm wide.
    before_mm: tuple[float, float] = (-110.0, -25.0)
    left_mm: tuple[float, float] = (-30.0, 45.0)
    # A disc that even a narrow one holds, and how far from its middle the surroundings are.
    disc_mm: float = 7.0
    around_mm: tuple[float, ...] = (10.0, 12.0, 14.0, 16.0, 18.0)
    directions: int = 16
    # Fat or lung is darker than blood by this and more; calcium and bowel vary by this.
    darker_hu: float = 25.0
    deviation_hu: tuple[float, float] = (30.0, 10.0)
    # Blood without contrast medium has 25 HU and more, also in anemia.
    blood_hu: float = 15.0
    # A shorter tube may be a loop of bowel.
    min_score: float = 0.6
    min_length_mm: float = 60.0


PARAMETERS = AortaParameters()


def aorta_hu(grid: Grid, canal: Canal) -> float | None:
    """Return the attenuation of the aorta, None where no tube of 60 mm is seen."""
    voxel_mm = float(grid.voxel_mm[0])
    hu = _before_canal(grid, canal)
    disc = _disc(voxel_mm)
    mean = ndimage.convolve(hu, disc, mode="nearest")
    square = ndimage.convolve(hu**2, disc, mode="nearest")
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    even = ramp(deviation, PARAMETERS.deviation_hu)
    scores = _darkness(hu, mean, voxel_mm) * even * (mean > PARAMETERS.blood_hu)
    path = best_path(scores.astype(np.float32))
    levels = np.arange(len(path))
    along = scores[levels, path[:, 0], path[:, 1]]
    start, stop = longest_run(along >= PARAMETERS.min_score)
    if (stop - start) * float(grid.voxel_mm[1]) < PARAMETERS.min_length_mm:
        return None
    return float(np.median(mean[levels, path[:, 0], path[:, 1]][start:stop]))


def _before_canal(grid: Grid, canal: Canal) -> Floats32:
    """Return (levels, before, left) HU of the region that is searched."""
    voxel_mm = float(grid.voxel_mm[0])
    low, high = np.rint(np.array(PARAMETERS.before_mm) / voxel_mm).astype(int)
    right, left = np.rint(np.array(PARAMETERS.left_mm) / voxel_mm).astype(int)
    centers = np.rint(canal.centers / grid.voxel_mm).astype(int)[:, :, None, None]
    rows, columns = np.mgrid[low:high, right:left]
    index: Integers = np.stack(
        np.broadcast_arrays(centers[:, 0] + rows, centers[:, 1], centers[:, 2] + columns)
    )
    # ``bordered`` has one voxel of NaN around the grid.
    limits = np.array(grid.bordered.shape)[:, None, None, None] - 1
    found = grid.bordered[tuple(np.clip(index + 1, 0, limits))]
    return np.asarray(np.nan_to_num(found, nan=OUTSIDE_HU), np.float32)


def _disc(voxel_mm: float) -> Floats32:
    """Return the weights (1, n, n) of the mean over a disc."""
    reach = int(PARAMETERS.disc_mm / voxel_mm) + 1
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (np.hypot(rows, columns) * voxel_mm <= PARAMETERS.disc_mm).astype(np.float32)
    return np.asarray((disc / disc.sum())[None], np.float32)


def _darkness(hu: Floats32, mean: Floats32, voxel_mm: float) -> Floats32:
    """Return the share of directions in which each place has something darker beside it."""
    ring = Ring(PARAMETERS.around_mm, PARAMETERS.directions, voxel_mm)
    pad = (ring.reach, ring.reach)
    darker = mean - PARAMETERS.darker_hu
    padded = np.pad(hu, ((0, 0), pad, pad), mode="edge")
    return ring.share(padded, lambda beside: beside < darker)
