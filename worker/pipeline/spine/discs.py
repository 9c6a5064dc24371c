"""The discs of a straightened spine: a chain of dark layers between brighter endplates."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.spine.column import STEP_MM, Column

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DiscParameters:
    """Search for discs. Anatomy; measurements in 0040."""

    # Middle of the body that is looked at, from the canal's center.
    core_behind_mm: tuple[float, float] = (-34.0, -14.0)
    core_left_mm: tuple[float, float] = (-14.0, 14.0)
    core_middle_mm: float = -24.0
    # A disc lies up to this much oblique to the plane across the canal (along per behind).
    slopes: tuple[float, ...] = (-0.3, 0.0, 0.3, 0.6)
    # Distance of a disc's middle from its endplates.
    endplate_mm: tuple[float, float] = (3.0, 7.0)
    # Contrast of a clear disc; a chain takes no position below the floor with profit.
    clear_hu: float = 60.0
    floor: float = 0.35
    # A body lies between discs where both are darker than what is above and below by this.
    seen_hu: float = 10.0
    # Pedicles spring from the upper half of a body and close the canal at its sides; beside
    # the lower half, a way without bone leads out: the foramen.
    way_behind_mm: tuple[float, float] = (-10.0, 2.0)
    way_left_mm: tuple[float, float] = (7.0, 19.0)
    pedicle_part: tuple[float, float] = (0.1, 0.45)
    foramen_part: tuple[float, float] = (0.6, 0.95)
    pedicle_hu: float = 150.0
    # Distance of the middles of neighboring discs, and how it may change.
    spacing_mm: tuple[float, float] = (20.0, 44.0)
    change_cost: float = 3.0
    # A chain is smooth, a spine with a compressed vertebra is not: a clear disc moves to where
    # it is clearest, up to this far.
    move_mm: float = 6.0


PARAMETERS = DiscParameters()


def find_discs(column: Column) -> tuple[float, ...]:
    """Return the positions of the discs along the canal, mm, from head to feet."""
    reward = _disc_contrast(column) / PARAMETERS.clear_hu
    reward = np.minimum(reward, 1.5) - PARAMETERS.floor
    chain = _best_chain(reward, _pedicles(column))
    return tuple(_clearest(reward, plane) * STEP_MM for plane in chain)


def are_seen(column: Column, discs: tuple[float, ...]) -> tuple[bool, ...]:
    """Return for each disc of a chain whether it is darker than what is above and below it."""
    contrast = _disc_contrast(column)
    return tuple(bool(contrast[round(disc / STEP_MM)] > PARAMETERS.seen_hu) for disc in discs)


def _clearest(reward: Floats, plane: int) -> int:
    """Return the plane of highest reward near one of the chain, this one if none is clear."""
    reach = round(PARAMETERS.move_mm / STEP_MM)
    first, last = max(0, plane - reach), min(len(reward), plane + reach + 1)
    best = first + int(reward[first:last].argmax())
    return best if reward[best] > 0 else plane


def _disc_contrast(column: Column) -> Floats:
    """Return (planes,) HU by which a layer is darker than the layers on both sides."""
    hu = column.box(PARAMETERS.core_behind_mm, PARAMETERS.core_left_mm).mean(axis=2)
    low, high = PARAMETERS.core_behind_mm
    behind = column.behind_mm[(column.behind_mm >= low) & (column.behind_mm <= high)]
    planes = np.arange(len(hu), dtype=np.float64)
    best = np.full(len(hu), -np.inf)
    for slope in PARAMETERS.slopes:
        shifts = slope * (behind - PARAMETERS.core_middle_mm) / STEP_MM
        sheared = [
            np.interp(planes + shift, planes, values)
            for shift, values in zip(shifts, hu.T, strict=True)
        ]
        best = np.maximum(best, _darker(np.mean(sheared, axis=0)))
    return best


def _darker(profile: Floats) -> Floats:
    near, far = (round(each / STEP_MM) for each in PARAMETERS.endplate_mm)
    padded = np.pad(profile, far, mode="edge")
    above = np.full(len(profile), -np.inf)
    below = above.copy()
    for step in range(near, far + 1):
        above = np.maximum(above, padded[far - step : far - step + len(profile)])
        below = np.maximum(below, padded[far + step : far + step + len(profile)])
    return np.asarray(np.minimum(above, below) - profile)


def _pedicles(column: Column) -> Floats:
    """Return (planes,) HU that the best ways out of the canal meet, the mean of both sides."""
    low, high = PARAMETERS.way_left_mm
    sides = [
        column.box(PARAMETERS.way_behind_mm, left).max(axis=2).min(axis=1)
        for left in ((low, high), (-high, -low))
    ]
    return np.asarray(np.clip(np.mean(sides, axis=0), 0, 600), np.float64)


def _best_chain(reward: Floats, pedicles: Floats) -> tuple[int, ...]:
    """Return the chain of planes with the highest sum of rewards.

    ``total[spacing, plane]`` : best chain that ends at a plane with that last spacing. A
    chain covers the whole spine in view: it starts and ends within one spacing of its ends.
    """
    spacings = np.arange(*(round(each / STEP_MM) for each in PARAMETERS.spacing_mm))
    planes, largest = len(reward), int(spacings[-1])
    total = np.full((len(spacings), planes), -np.inf)
    came_from = np.full(total.shape, -1)
    sums = np.concatenate([[0.0], np.cumsum(pedicles)])
    # (spacings, spacings) cost of a change from one spacing to the next.
    change = PARAMETERS.change_cost * np.log(spacings[:, None] / spacings) ** 2 * 4
    for plane in range(planes):
        for number, spacing in enumerate(spacings):
            before = plane - int(spacing)
            if before < 0:
                break
            gain = reward[plane] + _pedicle_reward(sums, before, int(spacing))
            earlier = total[:, before] - change[number]
            best = int(earlier.argmax())
            if before < largest and reward[before] > earlier[best]:
                total[number, plane] = reward[before] + gain
            elif math.isfinite(earlier[best]):
                total[number, plane] = earlier[best] + gain
                came_from[number, plane] = best
    return _trace(total, came_from, spacings, max(0, planes - largest))


def _pedicle_reward(sums: Floats, start: int, spacing: int) -> float:
    """Return how much more bone is beside the canal in the upper half of a vertebra."""

    def mean(part: tuple[float, float]) -> float:
        low, high = (start + round(each * spacing) for each in part)
        return float(sums[high] - sums[low]) / max(1, high - low)

    more = mean(PARAMETERS.pedicle_part) - mean(PARAMETERS.foramen_part)
    return float(np.clip(more / PARAMETERS.pedicle_hu, -1.0, 1.0))


def _trace(
    total: Floats, came_from: npt.NDArray[np.intp], spacings: npt.NDArray[np.intp], first: int
) -> tuple[int, ...]:
    """Follow the best chain that ends at plane ``first`` or below back to its start."""
    ends = total[:, first:]
    if not np.isfinite(ends).any():
        return ()
    number, plane = (int(each) for each in np.unravel_index(int(ends.argmax()), ends.shape))
    plane += first
    chain = [plane]
    while number >= 0:
        chain.append(chain[-1] - int(spacings[number]))
        number = int(came_from[number, chain[-2]])
    return tuple(reversed(chain))
