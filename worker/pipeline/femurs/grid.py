"""Working copy of a volume in which femurs are searched.

About 2 mm a voxel, clipped to the range of bone, with nearest look-ups along many rays at once.

Positions here are *grid mm*: distances from the center of the first grid voxel along
(posterior, down, left), the axes of the canonical volume.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from worker.pipeline.volume import Volume

Floats32 = npt.NDArray[np.float32]
Points = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class GridParameters:
    """Resampling of the volume."""

    # 0002: with voxels of 1.3 mm noise kept arthritic hips from the candidates.
    voxel_mm: float = 2.0
    # 0002: the range of bone.
    lowest_hu: int = -200
    highest_hu: int = 1000
    # Value outside the volume for interpolation; an interpolated value below the second is
    # unknown. Loaded volumes have at least −1024 HU.
    outside_hu: int = -20000
    unknown_below_hu: int = -1500
    # Anatomy: skin and fat are above. A column shows the body, and not the table alone, from
    # this share of the fullest one.
    body_hu: int = -150
    body_share: float = 0.1
    # 0034: half of an adult body at the hips is 150 mm wide and more.
    min_half_body_mm: float = 140.0


PARAMETERS = GridParameters()


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A clipped, coarser copy of a canonical volume.

    ``bordered`` : (slices + 2, rows + 2, columns + 2) float32, with a border of one voxel of
    NaN, so that look-ups outside the volume give NaN. ``voxel_mm``, ``origin_index`` : (3,)
    size of a voxel, and index in the volume of the first voxel. ``middle_mm`` : grid mm of the
    middle of the body, along left.
    """

    bordered: Floats32
    voxel_mm: npt.NDArray[np.float64]
    origin_index: npt.NDArray[np.float64]
    volume: Volume
    middle_mm: float

    @property
    def hu(self) -> Floats32:
        """(slices, rows, columns) float32, without the border."""
        return self.bordered[1:-1, 1:-1, 1:-1]

    @property
    def directions(self) -> npt.NDArray[np.float64]:
        """(3, 3) unit vectors of the grid's axes, patient LPS, as columns."""
        return np.asarray(self.volume.affine[:3, :3] / self.volume.spacing_mm)

    def to_patient(self, points: Points) -> npt.NDArray[np.float64]:
        """Convert (…, 3) grid mm to (…, 3) patient LPS mm."""
        return self.volume.to_mm(points / np.array(self.volume.spacing_mm) + self.origin_index)

    def from_patient(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Convert (…, 3) patient LPS mm to (…, 3) grid mm."""
        index = self.volume.to_index(points) - self.origin_index
        return np.asarray(index * self.volume.spacing_mm)

    def nearest(self, points: Floats32) -> Floats32:
        """Return the (…,) HU of the nearest voxels to (…, 3) grid mm, NaN outside."""
        flat = np.zeros(points.shape[:-1], np.int32)
        # One axis after the other: an inner loop over three values is slow.
        for axis, count in enumerate(self.bordered.shape):
            # +1 for the border, +0.5 to round by truncation.
            index = points[..., axis] * np.float32(1 / PARAMETERS.voxel_mm)
            index += np.float32(1.5)
            np.maximum(index, 0, out=index)
            np.minimum(index, count - 1, out=index)
            flat *= count
            flat += index.astype(np.int32)
        return np.asarray(self.bordered.ravel()[flat])

    def nearest_around(self, points: Points, offsets: Floats32) -> Floats32:
        """Return the (n, …) HU of the nearest voxels at (…, 3) mm from (n, 3) grid mm.

        Points are centers of voxels. The same as ``nearest`` of the sums, but without a check
        of each sum where none can leave the volume.
        """
        places = np.rint(points / PARAMETERS.voxel_mm).astype(np.int32) + 1
        steps = np.rint(offsets / PARAMETERS.voxel_mm).astype(np.int32)
        reach = int(np.abs(steps).max(initial=0))
        shape = np.array(self.bordered.shape)
        safe = ((places >= reach) & (places < shape - reach)).all(axis=1)
        strides = np.array([shape[1] * shape[2], shape[2], 1])
        values = np.empty((len(points), *offsets.shape[:-1]), np.float32)
        # (points, 1, …) + (1, …)
        along = (steps @ strides).astype(np.int32).ravel()
        flat = (places[safe] @ strides).astype(np.int32)[:, None] + along
        values[safe] = self.bordered.ravel()[flat].reshape(-1, *values.shape[1:])
        if not safe.all():
            shape_of_one = (1,) * (offsets.ndim - 1)
            others = points[~safe].astype(np.float32).reshape(-1, *shape_of_one, 3)
            values[~safe] = self.nearest(others + offsets)
        return values

    def interpolate(self, points: Points) -> Floats32:
        """Return the (…,) HU of the grid at (…, 3) grid mm, linear, NaN outside."""
        index = points / self.voxel_mm + 1
        values = ndimage.map_coordinates(
            self.bordered, index.reshape(-1, 3).T, np.float32, order=1, mode="nearest"
        )
        return np.asarray(values).reshape(index.shape[:-1])

    def interpolate_volume(self, points: Points) -> Floats32:
        """Return the (…,) HU of the volume itself at (…, 3) grid mm, linear, NaN outside."""
        index = points / np.array(self.volume.spacing_mm) + self.origin_index
        values = ndimage.map_coordinates(
            self.volume.hu,
            index.reshape(-1, 3).T,
            np.float32,
            order=1,
            cval=PARAMETERS.outside_hu,
        )
        values[values < PARAMETERS.unknown_below_hu] = np.nan
        return np.asarray(values).reshape(index.shape[:-1])


def build_grid(volume: Volume) -> Grid:
    """Resample to ``voxel_mm`` along every axis, smoothed where the volume is finer.

    Voxels and noise are nearly the same for every spacing, so that the finder does not depend
    on it.
    """
    hu, spacing = volume.hu, np.array(volume.spacing_mm)
    # Means of whole blocks first: cheap, and never coarser than the grid.
    block = np.maximum(1, (PARAMETERS.voxel_mm / spacing).astype(int))
    block[0] = 1
    rows, columns = (hu.shape[axis] // block[axis] for axis in (1, 2))
    down = resampling_weights(rows, spacing[1] * block[1])
    left = resampling_weights(columns, spacing[2] * block[2])
    planes = np.empty((len(hu), down.shape[0], left.shape[0]), np.float32)
    for index, plane in enumerate(hu):
        sums = np.zeros((rows, plane.shape[1]), np.float32)
        for row in range(block[1]):
            sums += plane[row :: block[1]][:rows]
        means = sums[:, :: block[2]][:, :columns].copy()
        for column in range(1, block[2]):
            means += sums[:, column :: block[2]][:, :columns]
        planes[index] = (left @ (down @ means).T).T
    planes /= block[1] * block[2]
    np.clip(planes, PARAMETERS.lowest_hu, PARAMETERS.highest_hu, out=planes)
    backward = resampling_weights(len(hu), spacing[0])
    shape = np.array([backward.shape[0], *planes.shape[1:]])
    bordered = np.full(shape + 2, np.nan, np.float32)
    inside = (backward @ planes.reshape(len(planes), -1)).reshape(shape)
    bordered[1:-1, 1:-1, 1:-1] = inside
    voxel_mm = np.full(3, PARAMETERS.voxel_mm)
    return Grid(bordered, voxel_mm, (block - 1) / 2, volume, middle_of_body(inside))


def middle_of_body(hu: Floats32) -> float:
    """Return the middle of the body along the last axis of (…, columns) HU, grid mm.

    Between the outermost columns with body. Where the body is cut off at one side, at least
    ``min_half_body_mm`` from its skin at the other.
    """
    # A quarter of the rows and slices suffices.
    body = np.count_nonzero(hu[::2, ::2] > PARAMETERS.body_hu, axis=(0, 1))
    inside = np.flatnonzero(body > PARAMETERS.body_share * body.max(initial=0))
    if not inside.size:
        return 0.0
    first_mm, last_mm = (float(column) * PARAMETERS.voxel_mm for column in inside[[0, -1]])
    middle_mm = (first_mm + last_mm) / 2
    cut_first, cut_last = inside[0] == 0, inside[-1] == len(body) - 1
    if cut_last and not cut_first:
        return max(middle_mm, first_mm + PARAMETERS.min_half_body_mm)
    if cut_first and not cut_last:
        return min(middle_mm, last_mm - PARAMETERS.min_half_body_mm)
    return middle_mm


def resampling_weights(count: int, spacing_mm: float) -> sparse.csr_array:
    """Return the (new, count) weights of ``count`` voxels of one axis in those of the grid.

    The first center is kept. The filter is a triangle as wide as the larger of both voxels,
    normalized also at the ends.
    """
    voxel_mm = PARAMETERS.voxel_mm
    width = max(voxel_mm, spacing_mm)
    centers_mm = np.arange(int((count - 1) * spacing_mm / voxel_mm) + 1) * voxel_mm
    distances_mm = np.abs(np.arange(count) * spacing_mm - centers_mm[:, None])
    weights = np.maximum(0, 1 - distances_mm / width)
    return sparse.csr_array((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def sphere_directions(count: int) -> npt.NDArray[np.float32]:
    """Return (count, 3) unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    polar = np.arccos(1 - 2 * index / count)
    azimuth = np.pi * (1 + math.sqrt(5)) * index
    directions = [
        np.cos(azimuth) * np.sin(polar),
        np.sin(azimuth) * np.sin(polar),
        np.cos(polar),
    ]
    return np.stack(directions, axis=-1).astype(np.float32)


def ramp(values: Points, bounds: tuple[float, float]) -> Points:
    """Return 0 below the first bound, 1 above the second, linear between them."""
    low, high = bounds
    return np.asarray(np.minimum(np.maximum((values - low) * (1 / (high - low)), 0), 1))


def falling_ramp(values: Points, bounds: tuple[float, float]) -> Points:
    """Return 1 below the first bound, 0 above the second, linear between them."""
    low, high = bounds
    return np.asarray(np.minimum(np.maximum((high - values) * (1 / (high - low)), 0), 1))
