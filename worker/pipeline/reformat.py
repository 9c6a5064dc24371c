"""Conversion of volumes of any orientation to coronal ones along the patient's axes."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.limits import MAX_KEPT_VOXELS
from worker.pipeline.pixels import Image
from worker.pipeline.volume import AIR_HU, Volume

# Directions of a canonical volume's axes in patient LPS: slices anterior → posterior,
# rows head → feet, columns right → left.
CANONICAL_AXES = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


def canonical(volume: Volume) -> Volume:
    """Flip and transpose a volume into canonical coronal axes, without interpolation.

    ``source_sop_uids`` and ``source_frames`` are kept only where slices stay slices.
    """
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    cosines = CANONICAL_AXES @ axes
    order = [int(i) for i in np.abs(cosines).argmax(axis=1)]
    flips = [bool(cosines[target, source] < 0) for target, source in enumerate(order)]
    hu = volume.hu.transpose(order)
    affine = volume.affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (hu.shape[axis] - 1)
            affine[:3, axis] *= -1
    hu = hu[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    uids, frames = (volume.source_sop_uids, volume.source_frames) if order[0] == 0 else ((), ())
    return Volume(
        hu=np.ascontiguousarray(hu),
        affine=affine,
        source_sop_uids=uids[::-1] if flips[0] else uids,
        source_frames=frames[::-1] if flips[0] else frames,
    )


def slab_means(image: Image, thickness: int, axis: int = 0) -> Image:
    """Average every ``thickness`` rows (axis 0) or columns (axis 1) of an image.

    An incomplete slab at the end is dropped.
    """
    if thickness == 1:
        return image
    starts = np.arange(image.shape[axis] // thickness) * thickness
    kept = (
        image[: len(starts) * thickness] if axis == 0 else image[:, : len(starts) * thickness]
    )
    return np.asarray(np.add.reduceat(kept, starts, axis=axis) / np.float32(thickness))


def slab_grid(thickness: int, axis: int) -> npt.NDArray[np.float64]:
    """Return the (4, 4) matrix from slab indices along an image axis to source indices.

    The source index is that of the center of the slab.
    """
    grid = np.eye(4)
    grid[1 + axis, 1 + axis] = thickness
    grid[1 + axis, 3] = (thickness - 1) / 2
    return grid


def resample_rows(volume: Volume, row_mm: float) -> Volume:
    """Interpolate linearly along the rows to ``row_mm``; the first row is kept."""
    ratio = row_mm / volume.spacing_mm[1]
    count = volume.hu.shape[1]
    shape = volume.hu.shape[0], int((count - 1) / ratio + 1), volume.hu.shape[2]
    _check_size(shape)
    at = np.arange(0, count - 1 + 1e-6, ratio)
    below = np.minimum(at.astype(int), count - 2)
    weight = (at - below).astype(np.float32)[:, None]
    hu = np.empty((volume.hu.shape[0], len(at), volume.hu.shape[2]), np.int16)
    for index, plane in enumerate(volume.hu):
        lower, upper = plane[below].astype(np.float32), plane[below + 1].astype(np.float32)
        hu[index] = np.rint(lower + (upper - lower) * weight)
    affine = volume.affine.copy()
    affine[:3, 1] *= ratio
    return Volume(hu, affine)


def along_patient_axes(volume: Volume, spacing_mm: tuple[float, float, float]) -> Volume:
    """Interpolate an oblique canonical volume linearly on a grid along the patient's axes.

    The grid encloses the whole volume; outside the source is air. It allocates no array of
    the size of the result besides it.
    """
    corners = volume.to_mm(list(product(*((0, count - 1) for count in volume.hu.shape))))
    along = corners @ CANONICAL_AXES.T
    low, high = along.min(axis=0), along.max(axis=0)
    shape = tuple(int(count) for count in np.floor((high - low) / spacing_mm + 1e-6) + 1)
    _check_size(shape)
    affine = np.eye(4)
    affine[:3, :3] = CANONICAL_AXES.T * spacing_mm
    affine[:3, 3] = low @ CANONICAL_AXES
    to_source = np.linalg.inv(volume.affine) @ affine
    hu = np.empty(shape, np.int16)

    def fill(index: int) -> None:
        matrix, start = to_source[:3, :3], to_source[:3, 3] + to_source[:3, 0] * index
        ndimage.affine_transform(
            volume.hu, matrix, start, output=hu[index : index + 1], order=1, cval=AIR_HU
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(shape[0])))
    return Volume(hu, affine)


def _check_size(shape: tuple[int, ...]) -> None:
    """Raise DecodeError where a grid from distances in headers does not fit in memory."""
    voxels = math.prod(shape)
    if voxels > MAX_KEPT_VOXELS:
        raise DecodeError(
            f"The reformatted volume has {voxels} voxels, at most {MAX_KEPT_VOXELS} are "
            "kept in memory."
        )
