"""The spinal canal: a soft tube with bone around it and a vertebral body before it.

Positions are those of ``femurs.grid``: grid mm along (posterior, down, left).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.femurs.grid import Floats32, Grid, ramp
from worker.pipeline.spine.ring import Ring

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class CanalParameters:
    """Search for the canal. Anatomy; measurements in 0040."""

    # Half of the width that is searched around the middle of the body.
    half_width_mm: float = 60.0
    # The first two sacral vertebrae are 60–110 mm above the middle of the femoral heads.
    above_heads_mm: float = 30.0
    # Bone of the arch and of the body's posterior wall. A canal is 15–18 mm deep and 22–27 mm
    # wide, so its wall is met within these distances of its center.
    bone_hu: float = 180.0
    wall_mm: tuple[float, ...] = (5.0, 7.0, 9.0, 11.0, 13.0)
    directions: int = 16
    # Cord, roots, fluid and fat in the canal.
    soft_hu: tuple[float, float] = (-20.0, 130.0)
    max_bone_share: float = 0.2
    # Center and extent of the region before the canal that a vertebral body or disc fills.
    body_offset_mm: float = 22.0
    body_voxels: tuple[int, int] = (11, 13)
    # Marrow without much bone reads 20 HU and more; fat and air do not.
    body_hu: tuple[float, float] = (-40.0, 30.0)
    # Steps of the path from one axial level of the grid to the next, and their cost.
    steps: tuple[int, int] = (2, 1)
    step_cost: float = 0.04
    # Real canals have a mean of 0.8–1.0 over a vertebra; the rest of a trunk 0.2–0.5.
    mean_voxels: int = 13
    min_score: float = 0.5
    smooth_voxels: float = 6.0


PARAMETERS = CanalParameters()


@dataclass(frozen=True, slots=True, eq=False)
class Canal:
    """Centers of the canal, one for each axial level of the grid from head to feet.

    ``centers`` : (n, 3) grid mm.
    """

    centers: npt.NDArray[np.float64]


def find_canal(grid: Grid, heads_mm: float = math.inf) -> Canal | None:
    """Return the longest part of the canal that is in view, None where there is none.

    ``heads_mm`` : grid mm of the middle of the higher femoral head, along down. The shaft of an
    osteoporotic femur looks like a long canal, so nothing is searched there.
    """
    first = max(0, round((grid.middle_mm - PARAMETERS.half_width_mm) / grid.voxel_mm[2]))
    last = round((grid.middle_mm + PARAMETERS.half_width_mm) / grid.voxel_mm[2])
    # (down, posterior, left)
    end = (heads_mm - PARAMETERS.above_heads_mm) / grid.voxel_mm[1]
    levels = round(min(max(end, 0.0), grid.hu.shape[1]))
    hu = np.ascontiguousarray(np.moveaxis(grid.hu, 1, 0)[:levels, :, first:last])
    if min(hu.shape) < max(PARAMETERS.body_voxels):
        return None
    scores = canal_scores(hu, float(grid.voxel_mm[0]))
    path = best_path(scores)
    along = scores[np.arange(len(path)), path[:, 0], path[:, 1]]
    inside = ndimage.uniform_filter1d(along, PARAMETERS.mean_voxels) >= PARAMETERS.min_score
    start, stop = longest_run(inside)
    if stop == start:
        return None
    smooth = ndimage.gaussian_filter1d(
        path.astype(np.float64), PARAMETERS.smooth_voxels, axis=0, mode="nearest"
    )
    downward = np.arange(len(path), dtype=np.float64)
    index = np.stack([smooth[:, 0], downward, smooth[:, 1] + first], axis=1)
    return Canal(index[start:stop] * grid.voxel_mm)


def canal_scores(hu: Floats32, voxel_mm: float) -> Floats32:
    """Return how much each voxel of (down, posterior, left) HU is inside a canal, 0–1."""
    bone = hu > PARAMETERS.bone_hu
    soft = ndimage.uniform_filter(hu, (1, 3, 3))
    low, high = PARAMETERS.soft_hu
    bone_share = ndimage.uniform_filter(bone.astype(np.float32), (1, 3, 3))
    inside = (soft > low) & (soft < high) & (bone_share < PARAMETERS.max_bone_share)
    mean = ndimage.uniform_filter(np.minimum(hu, 400), (1, *PARAMETERS.body_voxels))
    offset = round(PARAMETERS.body_offset_mm / voxel_mm)
    before = np.zeros_like(mean)
    before[:, offset:] = mean[:, :-offset]
    return np.asarray(
        enclosure(bone, voxel_mm) * inside * ramp(before, PARAMETERS.body_hu), np.float32
    )


def enclosure(bone: npt.NDArray[np.bool_], voxel_mm: float) -> Floats32:
    """Return the share of directions in which each voxel has bone at the canal's wall."""
    ring = Ring(PARAMETERS.wall_mm, PARAMETERS.directions, voxel_mm)
    pad = (ring.reach, ring.reach)
    return ring.share(np.pad(bone, ((0, 0), pad, pad)), lambda beside: beside)


def best_path(scores: Floats32) -> npt.NDArray[np.intp]:
    """Return the (levels, 2) voxels of the smooth path of highest total score (Viterbi)."""
    reach = PARAMETERS.steps
    steps = [
        (row, column)
        for row in range(-reach[0], reach[0] + 1)
        for column in range(-reach[1], reach[1] + 1)
    ]
    levels, rows, columns = scores.shape
    came_from = np.zeros(scores.shape, np.int8)
    total = scores[0]
    for level in range(1, levels):
        padded = np.pad(total, [(each, each) for each in reach], constant_values=-np.inf)
        best = np.full((rows, columns), -np.inf, np.float32)
        for number, (row, column) in enumerate(steps):
            top, left = reach[0] + row, reach[1] + column
            cost = np.float32(PARAMETERS.step_cost * (row * row + column * column))
            moved = padded[top : top + rows, left : left + columns] - cost
            better = moved > best
            best[better] = moved[better]
            came_from[level][better] = number
        total = best + scores[level]
    path = np.empty((levels, 2), np.intp)
    path[-1] = np.unravel_index(int(total.argmax()), total.shape)
    for level in range(levels - 1, 0, -1):
        path[level - 1] = path[level] + steps[came_from[level][tuple(path[level])]]
    return path


def longest_run(flags: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return start and stop of the longest run of True, (0, 0) where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    if not edges.size:
        return 0, 0
    starts, stops = edges[::2], edges[1::2]
    longest = int((stops - starts).argmax())
    return int(starts[longest]), int(stops[longest])
