"""A phantom of two hips and planes through it, for tests of SR and SC."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from scipy.ndimage import map_coordinates

from worker.pipeline import header_values, reformat
from worker.pipeline.volume import Plane, PointMm, Side, Volume

HEADS_MM: dict[Side, PointMm] = {"R": (-92.0, 2.0, 0.0), "L": (92.0, 2.0, 0.0)}
NECKS_MM: dict[Side, PointMm] = {"R": (-116.0, 2.0, -24.0), "L": (116.0, 2.0, -24.0)}
SHAFTS_MM: dict[Side, PointMm] = {"R": (-135.0, 2.0, -130.0), "L": (135.0, 2.0, -130.0)}


def make_volume(headers: tuple[Dataset, ...], *, square: bool = True) -> Volume:
    """Return the canonical coronal volume of the phantom on the grid of the headers.

    ``square`` : resample axial planes to square pixels, as the loader does.
    """
    affine, hu = _on_grid_of(headers)
    uids = tuple(str(header.SOPInstanceUID) for header in headers)
    frames = tuple(header_values.frame_of(header) for header in headers)
    volume = reformat.canonical(Volume(hu, affine, uids, frames))
    if volume.source_sop_uids or not square:
        return volume
    return reformat.resample_rows(volume, volume.spacing_mm[2])


def phantom_hu(headers: tuple[Dataset, ...]) -> npt.NDArray[np.int16]:
    """Return (slices, rows, columns) HU of the phantom in the slices of the headers."""
    return _on_grid_of(headers)[1]


def _on_grid_of(
    headers: tuple[Dataset, ...],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int16]]:
    row, column = np.reshape([float(v) for v in headers[0].ImageOrientationPatient], (2, 3))
    positions = [[float(v) for v in header.ImagePositionPatient] for header in headers]
    row_mm, column_mm = (float(v) for v in headers[0].PixelSpacing)
    step = np.subtract(positions[-1], positions[0]) / max(1, len(headers) - 1)
    affine = np.eye(4)
    affine[:3] = np.column_stack([step, column * row_mm, row * column_mm, positions[0]])
    shape = (len(headers), int(headers[0].Rows), int(headers[0].Columns))
    return affine, _phantom_hu(shape, tuple(map(tuple, affine.tolist())))


@lru_cache(maxsize=8)
def _phantom_hu(
    shape: tuple[int, int, int], rows: tuple[tuple[float, ...], ...]
) -> npt.NDArray[np.int16]:
    """Return HU of an ellipsoid body with two femurs, on a grid along the patient's axes.

    ``rows`` : of the affine. The array is shared between calls and read-only.
    """
    affine = np.array(rows)
    hu = np.random.default_rng(7).integers(-20, 21, shape, dtype=np.int16)
    axes = np.abs(affine[:3, :3]).argmax(axis=0)  # the patient axis of each grid axis
    at = [
        affine[a, i] * np.arange(n) + affine[a, 3]
        for i, (a, n) in enumerate(zip(axes, shape, strict=True))
    ]
    radii = np.array([205.0, 130.0, 400.0])[axes]
    inside = sum(np.ix_(*((x / radius) ** 2 for x, radius in zip(at, radii, strict=True))))
    hu += np.where(inside < 1, 40, -1000).astype(np.int16)
    for side in HEADS_MM:
        head, neck, shaft = (
            np.array(place[side])[axes] for place in (HEADS_MM, NECKS_MM, SHAFTS_MM)
        )
        rods = ((head, head, 23.0), (head, neck, 16.0), (neck, shaft, 15.0))
        for inset_mm, value in ((0.0, 900), (4.0, 160)):  # cortex, then trabecular bone
            for start, end, radius in rods:
                _draw_rod(hu, at, (start, end), radius - inset_mm, value)
    hu.flags.writeable = False
    return hu


def _draw_rod(
    hu: npt.NDArray[np.int16],
    at: list[npt.NDArray[np.float64]],
    ends: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    radius: float,
    value: int,
) -> None:
    """Draw a rod with round ends in place."""
    start, end = ends
    box = [
        np.flatnonzero((x > min(a, b) - radius) & (x < max(a, b) + radius))
        for x, a, b in zip(at, start, end, strict=True)
    ]
    points = np.stack(
        np.meshgrid(*(x[i] for x, i in zip(at, box, strict=True)), indexing="ij"), axis=-1
    )
    axis = end - start
    along = np.clip((points - start) @ axis / max(float(axis @ axis), 1e-9), 0, 1)
    distance = np.linalg.norm(points - start - along[..., None] * axis, axis=-1)
    part = hu[np.ix_(*box)]
    hu[np.ix_(*box)] = np.where(distance < radius, value, part)


def coronal_plane(volume: Volume, index: int) -> Plane:
    """Return a slice of the canonical volume."""
    x, y, z = volume.to_mm((index, 0, 0)).tolist()
    _, row_mm, column_mm = volume.spacing_mm
    uid, frame = None, None
    if volume.source_sop_uids:
        uid, frame = volume.source_sop_uids[index], volume.source_frames[index]
    return Plane(index, volume.hu[index], (x, y, z), row_mm, column_mm, uid, source_frame=frame)


def turned_plane(volume: Volume, side: Side, turn_deg: float) -> Plane:
    """Return an upright plane through the femoral head, as wide as the volume.

    ``turn_deg`` : rotation about the long axis of the body, left side backward where positive.
    """
    _, row_mm, column_mm = volume.spacing_mm
    index = round(float(volume.to_index(HEADS_MM[side])[0]))
    turn = np.radians(turn_deg)
    direction = np.array([np.cos(turn), np.sin(turn), 0.0])
    first_x, _, first_z = volume.to_mm((index, 0, 0)).tolist()
    head_x, head_y, _ = HEADS_MM[side]
    start = np.array([first_x, head_y + (first_x - head_x) * np.tan(turn), first_z])
    row_count, column_count = volume.hu.shape[1:]
    down, along = np.arange(row_count) * row_mm, np.arange(column_count) * column_mm
    points = start + along[None, :, None] * direction - down[:, None, None] * (0, 0, 1)
    index_of = np.moveaxis(volume.to_index(points), -1, 0)
    hu = map_coordinates(volume.hu, index_of, np.int16, order=1, cval=-1000)
    x, y, z = start.tolist()
    a, b, c = direction.tolist()
    return Plane(index, hu, (x, y, z), row_mm, column_mm, None, column_direction=(a, b, c))
