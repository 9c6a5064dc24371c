"""Reformat of a volume to thick slices: the ``resample`` of ``to_dicom.py`` in less time.

The mean over a slab and the linear interpolations in the slice are linear and act on one axis
each. So the slab is taken first, and the interpolations see the few slices that remain.
"""

import numpy as np
import numpy.typing as npt

Floats32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


def resample(
    volume: Floats32,
    spacing_mm: Floats,
    origin_mm: Floats,
    plane: str,
    pixel_mm: float,
    thickness_mm: float,
    increment_mm: float,
) -> tuple[Floats32, list[tuple[float, float, float]], list[int], Floats]:
    """Return slices, their positions (LPS mm), the orientation, and the slice locations.

    ``volume`` : (z, y, x), from feet to head, to the back, to the left. ``spacing_mm`` : z, y,
    x. ``origin_mm`` : x, y, z.
    """
    origin = np.array(origin_mm[::-1], float)
    low = origin - spacing_mm / 2
    high = low + np.array(volume.shape) * spacing_mm
    axis = 1 if plane == "coronal" else 0
    half = thickness_mm / 2
    centers = np.arange(low[axis] + half, high[axis] - half + 1e-6, increment_mm)
    columns = np.arange(low[2] + pixel_mm / 2, high[2], pixel_mm)
    if plane == "coronal":
        rows = np.arange(high[0] - pixel_mm / 2, low[0], -pixel_mm)
    else:
        rows = np.arange(low[1] + pixel_mm / 2, high[1], pixel_mm)

    def index(mm: Floats, of: int) -> Floats:
        return (mm - origin[of]) / spacing_mm[of]

    # About one sample per mm of the slab.
    count = max(1, int(np.ceil(thickness_mm)))
    offsets = ((np.arange(count) + 0.5) / count * thickness_mm - half) / spacing_mm[axis]
    slices = slab_means(np.moveaxis(volume, axis, 0), index(centers, axis), offsets)
    slices = interpolate(slices, index(rows, 1 - axis), axis=1)
    slices = interpolate(slices, index(columns, 2), axis=2)
    if plane == "coronal":
        return slices, [(columns[0], c, rows[0]) for c in centers], [1, 0, 0, 0, 0, -1], centers
    return slices, [(columns[0], rows[0], c) for c in centers], [1, 0, 0, 0, 1, 0], centers


def slab_means(volume: Floats32, centers: Floats, offsets: Floats) -> Floats32:
    """Return the mean of linear samples at ``centers`` plus each offset along the first axis.

    Both in voxels. Values beyond the last voxel are those of the last voxel.
    """
    means = np.zeros((len(centers), *volume.shape[1:]), np.float32)
    for mean, center in zip(means, centers, strict=True):
        weights = _weights(center + offsets, len(volume)).mean(axis=0)
        for at in np.flatnonzero(weights):
            mean += weights[at] * volume[at]
    return means


def interpolate(volume: Floats32, index: Floats, *, axis: int) -> Floats32:
    """Return linear samples along one axis."""
    low = np.floor(index).astype(int)
    shape = [1, 1, 1]
    shape[axis] = -1
    share = (index - low).astype(np.float32).reshape(shape)
    last = volume.shape[axis] - 1
    below, above = (np.take(volume, np.clip(at, 0, last), axis) for at in (low, low + 1))
    above -= below
    above *= share
    above += below
    return above


def _weights(index: Floats, count: int) -> Floats32:
    """Return (samples, count) weights of the voxels in linear samples."""
    low = np.floor(index).astype(int)
    weights = np.zeros((len(index), count), np.float32)
    each = np.arange(len(index))
    np.add.at(weights, (each, np.clip(low, 0, count - 1)), 1 - (index - low))
    np.add.at(weights, (each, np.clip(low + 1, 0, count - 1)), index - low)
    return weights
