"""Painting of layers, each within its box, and coarse evaluation of smooth fields."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.simulate.geometry.shapes import Array, Grid, Matrix

Layer = tuple[Array, Array | float]
"""Coverage 0–1 of a part, and its value in HU."""

COARSE_STEP = 4
"""Step in pixels at which smooth distances are computed, with interpolation between."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part to paint: its (2, 3) box in patient LPS mm and its layer on a grid.

    ``paint(grid, width)`` : ``width`` is the length in mm over which an edge is averaged.
    """

    box: Matrix
    paint: Callable[[Grid, float], Layer]


def paint(canvas: Array, grid: Grid, parts: Iterable[Part], width: float) -> None:
    """Paint the parts over ``canvas`` (nz, ny, nx) in place, in order."""
    lines = [axis.ravel() for axis in grid]
    for part in parts:
        window = [
            _window(line, low, high)
            for line, low, high in zip(lines, part.box[0], part.box[1], strict=True)
        ]
        if any(span.stop <= span.start for span in window):
            continue
        x, y, z = window
        share, value = part.paint((grid[0][:, :, x], grid[1][:, y], grid[2][z]), width)
        region = canvas[z, y, x]
        region += share * (value - region)


def _window(line: npt.NDArray[np.float32], low: float, high: float) -> slice:
    """Return the indices of an ascending or descending line that lie within the limits.

    The first index is a multiple of the coarse step, so that a part has the same knots in any
    region.
    """
    if len(line) > 1 and line[1] < line[0]:
        line, low, high = -line, -high, -low
    first = int(np.searchsorted(line, low))
    last = int(np.searchsorted(line, high, side="right"))
    if last <= first:
        return slice(0, 0)
    return slice(first - first % COARSE_STEP, last)


def coarse(grid: Grid, field: Callable[[Grid], Array]) -> Array:
    """Return a smooth (…, nz, ny, nx) field, computed on a thinned grid and interpolated."""
    x, y, z = (_thin(axis) for axis in grid)
    values = field((x, y, z))
    for axis, line in zip((-1, -2, -3), grid, strict=True):
        if line.size > 1:
            values = _stretch(values, axis, line.size)
    return values


def _thin(line: Array) -> Array:
    if line.size == 1:
        return line
    flat = line.ravel()
    knots = flat[::COARSE_STEP]
    if (line.size - 1) % COARSE_STEP:
        knots = np.append(knots, knots[-1] + (flat[1] - flat[0]) * COARSE_STEP)
    shape = tuple(knots.size if length > 1 else 1 for length in line.shape)
    return np.asarray(knots, dtype=np.float32).reshape(shape)


def _stretch(values: Array, axis: int, size: int) -> Array:
    """Interpolate linearly to every pixel between the knots along one axis."""
    at = values.ndim + axis
    count = values.shape[at]
    low = np.take(values, range(count - 1), axis=at)
    rise = np.diff(values, axis=at)
    full = np.empty((*low.shape[: at + 1], COARSE_STEP, *low.shape[at + 1 :]), dtype=np.float32)
    steps = np.moveaxis(full, at + 1, 0)
    for step in range(COARSE_STEP):
        np.multiply(rise, step / COARSE_STEP, out=steps[step])
        steps[step] += low
    full = full.reshape(*low.shape[:at], -1, *low.shape[at + 1 :])
    if size > full.shape[at]:
        full = np.concatenate([full, np.take(values, [count - 1], axis=at)], axis=at)
    cut = [slice(None)] * full.ndim
    cut[at] = slice(size)
    return np.ascontiguousarray(full[tuple(cut)])
