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
from scipy import ndimage

from worker.pipeline.results import Volume

VOXEL_MM = 2.0
MIN_HU, MAX_HU = -200, 1000
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


def build_grid(volume: Volume) -> Grid:
    """Mean blocks in the plane, interpolate across the planes."""
    spacing = np.array(volume.spacing_mm)
    block = np.maximum(1, np.rint(VOXEL_MM / spacing)).astype(int)
    block[0] = 1
    rows, columns = (volume.hu.shape[axis] // block[axis] for axis in (1, 2))
    means = np.zeros((volume.hu.shape[0], rows, columns), np.float32)
    kept = volume.hu[:, : rows * block[1], : columns * block[2]]
    for row in range(block[1]):
        for column in range(block[2]):
            means += kept[:, row :: block[1], column :: block[2]]
    means /= block[1] * block[2]
    np.clip(means, MIN_HU, MAX_HU, out=means)
    last = volume.hu.shape[0] - 1
    at = np.linspace(0, last, max(2, math.ceil(last * spacing[0] / VOXEL_MM) + 1))
    bordered = np.full((len(at) + 2, rows + 2, columns + 2), np.nan, np.float32)
    for index, position in enumerate(at, start=1):
        below = min(int(position), last - 1)
        weight = np.float32(position - below)
        plane = means[below] * (1 - weight) + means[below + 1] * weight
        bordered[index, 1:-1, 1:-1] = plane
    voxel = spacing * block
    voxel[0] = (at[1] - at[0]) * spacing[0]
    return Grid(bordered, voxel, (block - 1) / 2, volume)


def sphere_directions(count: int) -> npt.NDArray[np.float32]:
    """(count, 3) unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    polar = np.arccos(1 - 2 * index / count)
    turn = np.pi * (1 + math.sqrt(5)) * index
    directions = [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]
    return np.stack(directions, axis=-1).astype(np.float32)
