"""The working copy of a volume in which femurs are searched: about 2 mm, clipped to bone's
range, with nearest look-ups along many rays at once.

Positions here are *grid mm*: distances from the centre of the first grid voxel along
(posterior, down, left), which are the axes of the canonical volume.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from worker.pipeline.results import Volume

VOXEL_MM = 2.0
MIN_HU, MAX_HU = -200, 1000
FAR_BELOW_HU, BELOW_AIR_HU = -20000, -1500
Floats32 = npt.NDArray[np.float32]
Points = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A clipped, coarser copy of a canonical volume.

    ``hu`` : (slices, rows, columns) float32. ``bordered`` : the same with a border of one
    voxel of NaN, from which look-ups outside of the volume are answered. ``voxel_mm``,
    ``origin_index`` : size of a voxel and the index in the volume of the first, per axis.
    """

    bordered: Floats32
    voxel_mm: npt.NDArray[np.float64]
    origin_index: npt.NDArray[np.float64]
    volume: Volume

    @property
    def hu(self) -> Floats32:
        """The voxels without the border."""
        return self.bordered[1:-1, 1:-1, 1:-1]

    @property
    def directions(self) -> npt.NDArray[np.float64]:
        """(3, 3) unit vectors of the grid's axes, patient LPS, as columns."""
        return np.asarray(self.volume.affine[:3, :3] / self.volume.spacing_mm)

    def to_patient(self, points: Points) -> npt.NDArray[np.float64]:
        """(…, 3) grid mm → (…, 3) patient LPS mm."""
        return self.volume.to_mm(points / np.array(self.volume.spacing_mm) + self.origin_index)

    def from_patient(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(…, 3) patient LPS mm → (…, 3) grid mm."""
        index = self.volume.to_index(points) - self.origin_index
        return np.asarray(index * self.volume.spacing_mm)

    def nearest(self, points: Floats32) -> Floats32:
        """(…,) HU of the nearest voxel at (…, 3) grid mm; NaN beyond the volume."""
        index = points * (1 / self.voxel_mm).astype(np.float32) + np.float32(1.5)
        index = np.clip(index, 0, np.array(self.bordered.shape, np.float32) - 1)
        whole = index.astype(np.int32)
        _, rows, columns = self.bordered.shape
        flat = (whole[..., 0] * rows + whole[..., 1]) * columns + whole[..., 2]
        return np.asarray(self.bordered.ravel()[flat])

    def interpolate(self, points: Points) -> Floats32:
        """(…,) linearly interpolated HU at (…, 3) grid mm; NaN beyond the volume."""
        index = points / self.voxel_mm + 1
        values = ndimage.map_coordinates(
            self.bordered, index.reshape(-1, 3).T, np.float32, order=1, mode="nearest"
        )
        return np.asarray(values).reshape(index.shape[:-1])

    def original(self, points: Points) -> npt.NDArray[np.float64]:
        """(…,) HU of the volume itself, linearly interpolated, at (…, 3) grid mm; NaN
        beyond it."""
        index = points / np.array(self.volume.spacing_mm) + self.origin_index
        values = ndimage.map_coordinates(
            self.volume.hu, index.reshape(-1, 3).T, np.float32, order=1, cval=FAR_BELOW_HU
        )
        values[values < BELOW_AIR_HU] = np.nan
        return np.asarray(values, np.float64).reshape(index.shape[:-1])


def build_grid(volume: Volume) -> Grid:
    """Resample to ``VOXEL_MM`` along every axis, smoothed where the volume is finer.

    The same voxels and nearly the same noise whatever the series' spacing: what follows
    need not know it.
    """
    hu, spacing = volume.hu, np.array(volume.spacing_mm)
    # Whole blocks first: cheap, and never coarser than the grid.
    block = np.maximum(1, (VOXEL_MM / spacing).astype(int))
    block[0] = 1
    rows, columns = (hu.shape[axis] // block[axis] for axis in (1, 2))
    down = resampling_weights(rows, spacing[1] * block[1])
    left = resampling_weights(columns, spacing[2] * block[2])
    planes = np.empty((len(hu), down.shape[0], left.shape[0]), np.float32)
    for index, plane in enumerate(hu):
        means = np.zeros((rows, columns), np.float32)
        for row in range(block[1]):
            for column in range(block[2]):
                means += plane[row :: block[1], column :: block[2]][:rows, :columns]
        planes[index] = (left @ (down @ means).T).T
    planes /= block[1] * block[2]
    np.clip(planes, MIN_HU, MAX_HU, out=planes)
    backward = resampling_weights(len(hu), spacing[0])
    shape = np.array([backward.shape[0], *planes.shape[1:]])
    bordered = np.full(shape + 2, np.nan, np.float32)
    inside = (backward @ planes.reshape(len(planes), -1)).reshape(shape)
    bordered[1:-1, 1:-1, 1:-1] = inside
    return Grid(bordered, np.full(3, VOXEL_MM), (block - 1) / 2, volume)


def resampling_weights(count: int, spacing_mm: float) -> sparse.csr_array:
    """(new, count) weights of ``count`` voxels in voxels of ``VOXEL_MM``, first centre kept:
    a triangle as wide as the larger of both."""
    width = max(VOXEL_MM, spacing_mm)
    at = np.arange(int((count - 1) * spacing_mm / VOXEL_MM) + 1) * VOXEL_MM
    weights = np.maximum(0, 1 - np.abs(np.arange(count) * spacing_mm - at[:, None]) / width)
    return sparse.csr_array((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def sphere_directions(count: int) -> npt.NDArray[np.float32]:
    """(count, 3) unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    polar = np.arccos(1 - 2 * index / count)
    turn = np.pi * (1 + math.sqrt(5)) * index
    directions = [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]
    return np.stack(directions, axis=-1).astype(np.float32)
