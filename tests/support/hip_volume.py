"""Volumes of muscle with bodies of other HU, and two hips at fixed positions in them."""

from collections.abc import Sequence

import numpy as np

from worker.pipeline.volume import Femur, PointMm, Volume

RIGHT = Femur("R", (-90.0, 0.0, 0.0), 23.0, (-108.0, 4.0, -18.0), 0.8)
LEFT = Femur("L", (90.0, 0.0, 0.0), 23.0, (108.0, 4.0, -18.0), 0.8)
VOXEL_MM = 2.0


def volume_of(hu: np.ndarray, spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> Volume:
    """Return a canonical volume whose first voxel lies at the origin."""
    affine = np.zeros((4, 4))
    affine[1, 0], affine[2, 1], affine[0, 2] = spacing[0], -spacing[1], spacing[2]
    affine[3, 3] = 1
    return Volume(hu.astype(np.int16), affine)


def soft_tissue(
    low: PointMm = (-180, -80, -160), high: PointMm = (180, 80, 100), noise_hu: float = 5.0
) -> Volume:
    """Return a volume of muscle with 2 mm voxels between corners in patient LPS mm."""
    affine = np.array(
        [[0, 0, 2, low[0]], [2, 0, 0, low[1]], [0, -2, 0, high[2]], [0, 0, 0, 1.0]]
    )
    shape = (high[1] - low[1], high[2] - low[2], high[0] - low[0])
    size = [int(length / VOXEL_MM) for length in shape]
    noise = np.random.default_rng(0).normal(50, noise_hu, size)
    return Volume(np.rint(noise).astype(np.int16), affine)


def put(volume: Volume, center: Sequence[float], radius: float, hu: float) -> None:
    """Fill a sphere, with a few HU of noise below 3,071."""
    middle = volume.to_index(center)
    low = np.clip(np.floor(middle - radius / VOXEL_MM), 0, volume.hu.shape).astype(int)
    high = np.clip(np.ceil(middle + radius / VOXEL_MM) + 1, 0, volume.hu.shape).astype(int)
    box = volume.hu[tuple(map(slice, low.tolist(), high.tolist()))]
    index = np.moveaxis(np.indices(box.shape), 0, -1) + low
    inside = np.linalg.norm(volume.to_mm(index) - np.array(center), axis=-1) <= radius
    noise = np.random.default_rng(1).normal(0, 8, int(inside.sum()))
    box[inside] = np.clip(np.rint(hu + noise), -1024, 3071)


def put_rod(
    volume: Volume, start: Sequence[float], end: Sequence[float], radius: float, hu: float
) -> None:
    """Fill a rod with round ends."""
    length = float(np.linalg.norm(np.subtract(end, start)))
    for share in np.linspace(0, 1, max(2, round(length / VOXEL_MM) + 1)):
        put(volume, tuple(np.array(start) * (1 - share) + np.array(end) * share), radius, hu)


def cut_circle(volume: Volume, radius: float) -> None:
    """Set padding outside a round field of view about the middle, across the body."""
    slices, _, columns = volume.hu.shape
    x = (np.arange(columns) - (columns - 1) / 2) * VOXEL_MM
    y = (np.arange(slices) - (slices - 1) / 2) * VOXEL_MM
    outside = y[:, None] ** 2 + x[None] ** 2 > radius**2
    volume.hu[np.broadcast_to(outside[:, None], volume.hu.shape)] = -1024
