"""Random fields in space; a point has the same value in every plane."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.simulate.geometry.shapes import Array, Grid

TILE = 64


@lru_cache(maxsize=16)
def _tile(seed: int, smooth: float) -> Array:
    """Return periodic band-limited Gaussian noise, (64, 64, 64), mean 0, SD 1."""
    white = np.random.default_rng(seed).standard_normal((TILE, TILE, TILE), dtype=np.float32)
    field = ndimage.gaussian_filter(white, smooth, mode="wrap", truncate=3.0)
    field -= field.mean()
    return np.asarray(field / field.std(), dtype=np.float32)


def noise(grid: Grid, seed: int, cell_mm: float, smooth: float = 1.0) -> Array:
    """Return (nz, ny, nx) noise, mean 0, SD about 1, of grain ``cell_mm · smooth``.

    ``seed`` shifts one of four tiles, so that two fields of a subject are unrelated.
    """
    field = _tile(seed % 4, smooth)
    shifts = np.random.default_rng(seed).uniform(0, TILE, 3)
    lines = (grid[2], grid[1], grid[0])
    # The shortest axis is first, which makes the tile of a plane two-dimensional.
    for axis in sorted(range(3), key=lambda axis: lines[axis].size):
        position = lines[axis].ravel() * (1.0 / cell_mm) + float(shifts[axis])
        field = _interpolate(field, position, axis)
    return field


def at(p: Grid, seed: int, cell_mm: float, smooth: float = 1.0) -> Array:
    """Return noise of the nearest cell at any points, each array (nz, ny, nx)."""
    shifts = np.random.default_rng(seed).uniform(0, TILE, 3)
    x, y, z = (
        np.rint(axis * (1.0 / cell_mm) + float(shift)).astype(np.int64) % TILE
        for axis, shift in zip(p, shifts, strict=True)
    )
    return np.asarray(_tile(seed % 4, smooth)[z, y, x])


def _interpolate(field: Array, position: npt.NDArray[np.float32], axis: int) -> Array:
    """Interpolate linearly and periodically along one axis."""
    below = np.floor(position)
    shape = [1, 1, 1]
    shape[axis] = -1
    share = (position - below).astype(np.float32).reshape(shape)
    index = below.astype(np.int64)
    low = np.take(field, index % TILE, axis=axis)
    high = np.take(field, (index + 1) % TILE, axis=axis)
    high -= low
    high *= share
    high += low
    return np.asarray(high)
