"""CT volumes resampled to oblique slices."""

from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from tests.support.ct_volume import Point, write_ct
from worker.pipeline.volume import Volume

Matrix = npt.NDArray[np.float64]


def rotation(axis: int, degrees: float) -> Matrix:
    """Return the (3, 3) rotation about the patient's x, y or z axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = [each for each in range(3) if each != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def write_turned(
    volume: Volume,
    folder: Path,
    plane: tuple[Point, Point],
    turn: Matrix,
    *,
    step_mm: float,
    pixel_mm: float,
) -> list[Path]:
    """Write slices in a plane rotated about the middle of a volume; they enclose the volume.

    Each slice is the mean of a slab as thick as the step. File names and InstanceNumber are
    shuffled.
    """
    columns, rows = (turn @ np.array(direction, float) for direction in plane)
    axes = np.stack([np.cross(columns, rows), rows, columns])
    steps = axes * np.array([step_mm, pixel_mm, pixel_mm])[:, None]
    corners = volume.to_mm(list(product(*((0, count - 1) for count in volume.hu.shape))))
    along = corners @ axes.T
    low, high = along.min(axis=0), along.max(axis=0)
    shape = np.ceil((high - low) / (step_mm, pixel_mm, pixel_mm)).astype(int) + 1
    origin = low @ axes
    hu = np.zeros(shape)
    parts = max(1, round(step_mm))
    for part in (np.arange(parts) + 0.5) / parts - 0.5:
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = steps.T, origin + part * steps[0]
        to_source = np.linalg.inv(volume.affine) @ affine
        hu += ndimage.affine_transform(
            volume.hu.astype(np.float32), to_source[:3, :3], to_source[:3, 3],
            output_shape=tuple(shape), order=1, cval=-1024,
        ) / parts  # fmt: skip
    return write_ct(
        folder,
        np.rint(hu).astype(np.int16),
        directions=(_point(columns), _point(rows)),
        origin=_point(origin),
        step=_point(steps[0]),
        spacing=(pixel_mm, pixel_mm),
        order=np.random.default_rng(3).permutation(int(shape[0])).tolist(),
    )


def _point(vector: Matrix) -> Point:
    x, y, z = (float(value) for value in vector)
    return x, y, z
