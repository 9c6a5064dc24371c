"""Conversion of volumes of any orientation to coronal ones along the patient's axes."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.pixels import Image
from worker.pipeline.volume import AIR_HU, Volume

Shape = tuple[int, ...]
Affine = npt.NDArray[np.float64]

# Directions of a canonical volume's axes in patient LPS: slices anterior → posterior,
# rows head → feet, columns right → left.
CANONICAL_AXES = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


def canonical(volume: Volume) -> Volume:
    """Flip and transpose a volume into canonical coronal axes, without interpolation.

    ``source_sop_uids`` and ``source_frames`` are kept only where slices stay slices.
    """
    order, flips = _turns(volume.affine)
    hu = _flipped(volume.hu.transpose(order), flips)
    uids, frames = (volume.source_sop_uids, volume.source_frames) if order[0] == 0 else ((), ())
    return Volume(
        hu=np.ascontiguousarray(hu),
        affine=canonical_grid(volume.hu.shape, volume.affine)[1],
        source_sop_uids=uids[::-1] if flips[0] else uids,
        source_frames=frames[::-1] if flips[0] else frames,
    )


def canonical_grid(shape: Shape, affine: Affine) -> tuple[Shape, Affine]:
    """Return shape and affine of a volume after its axes are turned."""
    order, flips = _turns(affine)
    slices, rows, columns = (shape[source] for source in order)
    turned = affine[:, [*order, 3]].copy()
    for axis, (flip, count) in enumerate(zip(flips, (slices, rows, columns), strict=True)):
        if flip:
            turned[:3, 3] += turned[:3, axis] * (count - 1)
            turned[:3, axis] *= -1
    return (slices, rows, columns), turned


def empty_array(shape: Shape, affine: Affine) -> npt.NDArray[np.int16]:
    """Return an array without values that ``canonical`` turns without a copy.

    ``shape`` and ``affine`` are those before the axes are turned.
    """
    order, flips = _turns(affine)
    hu = np.empty([shape[source] for source in order], np.int16)
    return _flipped(hu, flips).transpose(np.argsort(order))


def _turns(affine: Affine) -> tuple[list[int], list[bool]]:
    """Return the source axis of each canonical axis, and whether it runs backwards."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = CANONICAL_AXES @ axes
    order = [int(i) for i in np.abs(cosines).argmax(axis=1)]
    return order, [bool(cosines[target, source] < 0) for target, source in enumerate(order)]


def _flipped(hu: npt.NDArray[np.int16], flips: list[bool]) -> npt.NDArray[np.int16]:
    return hu[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


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
    shape, affine = enclosing_grid(volume.hu.shape, volume.affine, spacing_mm)
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


def rows_after(count: int, spacing_mm: float, row_mm: float) -> int:
    """Return how many rows ``resample_rows`` makes of ``count`` rows."""
    return int((count - 1) * spacing_mm / row_mm + 1)


def enclosing_grid(
    shape: Shape, affine: Affine, spacing_mm: tuple[float, float, float]
) -> tuple[Shape, Affine]:
    """Return shape and affine of the grid along the patient's axes that encloses a volume."""
    corners = np.array(list(product(*((0, count - 1) for count in shape))))
    along = (corners @ affine[:3, :3].T + affine[:3, 3]) @ CANONICAL_AXES.T
    low, high = along.min(axis=0), along.max(axis=0)
    slices, rows, columns = np.floor((high - low) / spacing_mm + 1e-6).astype(int).tolist()
    enclosing = np.eye(4)
    enclosing[:3, :3] = CANONICAL_AXES.T * spacing_mm
    enclosing[:3, 3] = low @ CANONICAL_AXES
    return (slices + 1, rows + 1, columns + 1), enclosing
