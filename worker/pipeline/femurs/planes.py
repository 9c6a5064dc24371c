"""The plane that shows a femur: a slice of the series, or a cut through head and neck."""

import numpy as np
import numpy.typing as npt

from worker.pipeline.results import Femur, Plane, PointMm, Volume

Floats = npt.NDArray[np.float64]

# The neck is what is graded: a plane runs nearer to its centre than to the head's.
NECK_SHARE = 0.85
# Anteversion with the rotation that a leg lies in; a cut tilted further is no longer coronal.
MAX_TILT_DEG = 30.0
SLAB_MM = 2.5
AIR_HU = -1024


def nearest_slice(volume: Volume, femur: Femur) -> Plane:
    """The slice nearest to a point between the centres of head and neck.

    No coronal slice shows head, neck and shaft all in their middle (anteversion turns the
    neck forward by 10–20°); this one passes within a few mm of both centres.
    """
    index = slice_index(volume, femur)
    _, row_mm, column_mm = volume.spacing_mm
    return Plane(
        index=index,
        hu=volume.hu[index],
        position_mm=_point(volume.to_mm((index, 0, 0))),
        row_spacing_mm=row_mm,
        column_spacing_mm=column_mm,
        source_sop_uid=volume.source_sop_uids[index] if volume.source_sop_uids else None,
        row_direction=_point(volume.affine[:3, 1] / row_mm),
        column_direction=_point(volume.affine[:3, 2] / column_mm),
        source_frame=volume.source_frames[index] if volume.source_frames else None,
    )


def cut_through(volume: Volume, femur: Femur) -> Plane:
    """The plane through the centres of head and neck that holds the cranio-caudal axis.

    A coronal plane turned about that axis by the neck's anteversion, at most
    ``MAX_TILT_DEG``: a mean over ``SLAB_MM``, interpolated linearly, on a grid with the
    volume's pixels whose columns meet those of the volume at the femur. Beyond the volume is
    air. ``index`` : the slice that is nearest at the femur.
    """
    slice_mm, row_mm, column_mm = volume.spacing_mm
    backward, leftward = volume.affine[:3, 0] / slice_mm, volume.affine[:3, 2] / column_mm
    along = np.subtract(femur.neck_mm, femur.center_mm)
    outward = abs(float(along @ leftward))
    behind = float(along @ backward) * np.sign(float(along @ leftward))
    limit = np.radians(MAX_TILT_DEG)
    tilt = float(np.clip(np.arctan2(behind, outward), -limit, limit))
    # Fractional slices and columns of the volume under each column of the plane.
    through = volume.to_index(_target(femur))
    distance = (np.arange(volume.hu.shape[2]) - through[2]) * column_mm
    slices = through[0] + distance * np.sin(tilt) / slice_mm
    columns = through[2] + distance * np.cos(tilt) / column_mm
    count = max(1, round(SLAB_MM / slice_mm))
    hu = np.zeros(volume.hu.shape[1:], np.float32)
    for step in (np.arange(count) - (count - 1) / 2) * slice_mm:
        hu += _upright(
            volume,
            slices + step * np.cos(tilt) / slice_mm,
            columns - step * np.sin(tilt) / column_mm,
        )
    return Plane(
        index=slice_index(volume, femur),
        hu=np.rint(hu / count).astype(np.int16),
        position_mm=_point(volume.to_mm((slices[0], 0, columns[0]))),
        row_spacing_mm=row_mm,
        column_spacing_mm=column_mm,
        source_sop_uid=None,
        row_direction=_point(volume.affine[:3, 1] / row_mm),
        column_direction=_point(np.cos(tilt) * leftward + np.sin(tilt) * backward),
    )


def slice_index(volume: Volume, femur: Femur) -> int:
    """The slice nearest to the point between head and neck that planes run through."""
    index = np.rint(volume.to_index(_target(femur))[0])
    return int(np.clip(index, 0, volume.hu.shape[0] - 1))


def _target(femur: Femur) -> Floats:
    return np.asarray(
        (1 - NECK_SHARE) * np.array(femur.center_mm) + NECK_SHARE * np.array(femur.neck_mm)
    )


def _upright(volume: Volume, slices: Floats, columns: Floats) -> npt.NDArray[np.float32]:
    """(rows, columns) HU where each column stands at a fractional slice and column."""
    hu = np.zeros((len(slices), volume.hu.shape[1]), np.float32)
    slice_below, column_below = np.floor(slices).astype(int), np.floor(columns).astype(int)
    for behind in (0, 1):
        for left in (0, 1):
            at, column = slice_below + behind, column_below + left
            weight = (1 - np.abs(slices - at)) * (1 - np.abs(columns - column))
            inside = (at >= 0) & (at < volume.hu.shape[0])
            inside &= (column >= 0) & (column < volume.hu.shape[2])
            values = np.full(hu.shape, AIR_HU, np.float32)
            values[inside] = volume.hu[at[inside], :, column[inside]]
            hu += weight[:, None].astype(np.float32) * values
    return hu.T


def _point(position: Floats) -> PointMm:
    x, y, z = (float(value) for value in position)
    return x, y, z
