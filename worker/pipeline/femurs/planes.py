"""Planes of a femur: the one that is shown, and the parallel cuts that are graded."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.volume import AIR_HU, Femur, Plane, Volume, to_point

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PlaneParameters:
    """Position of a plane in the femur."""

    # 0002: the neck is graded, so a plane runs nearer to its center than to that of the head.
    neck_share: float = 0.85
    # 0002: anteversion with the rotation of the leg; a cut tilted further is not coronal.
    max_tilt_deg: float = 30.0
    # 0002: thickness of a cut.
    slab_mm: float = 2.5
    # 0048: distances of the graded cuts behind the one through head and neck.
    graded_mm: tuple[float, ...] = (-4.0, 0.0, 4.0)


PARAMETERS = PlaneParameters()


def nearest_slice(volume: Volume, femur: Femur) -> Plane:
    """Return the slice nearest to a point between the centers of head and neck.

    No coronal slice shows head, neck and shaft all in their middle, because anteversion turns
    the neck forward by 10–20°; this one passes within a few mm of both centers.
    """
    index = slice_index(volume, femur)
    _, row_mm, column_mm = volume.spacing_mm
    return Plane(
        index=index,
        hu=volume.hu[index],
        position_mm=to_point(volume.to_mm((index, 0, 0))),
        row_spacing_mm=row_mm,
        column_spacing_mm=column_mm,
        source_sop_uid=volume.source_sop_uids[index] if volume.source_sop_uids else None,
        row_direction=to_point(volume.affine[:3, 1] / row_mm),
        column_direction=to_point(volume.affine[:3, 2] / column_mm),
        source_frame=volume.source_frames[index] if volume.source_frames else None,
    )


def graded_cuts(volume: Volume, femur: Femur) -> tuple[Plane, ...]:
    """Return the parallel cuts whose mean gives the grade, from front to back.

    They follow head and neck and not the slices of the series, so that the grade of a hip
    depends little on plane, thickness and position of these slices.
    """
    return tuple(cut_through(volume, femur, behind) for behind in PARAMETERS.graded_mm)


def cut_through(volume: Volume, femur: Femur, behind_mm: float = 0.0) -> Plane:
    """Return the plane through the centers of head and neck along the cranio-caudal axis.

    A coronal plane rotated about that axis by the anteversion of the neck, at most
    ``max_tilt_deg``. It is a mean over ``slab_mm``, interpolated linearly, on a grid with the
    pixels of the volume whose columns meet those of the volume at the femur. Outside the volume
    is air. ``index`` is the slice nearest to the plane at the femur. ``behind_mm`` : moves the
    plane to the back.
    """
    slice_mm, row_mm, column_mm = volume.spacing_mm
    backward, leftward = volume.affine[:3, 0] / slice_mm, volume.affine[:3, 2] / column_mm
    along = np.subtract(femur.neck_mm, femur.center_mm)
    outward = abs(float(along @ leftward))
    behind = float(along @ backward) * np.sign(float(along @ leftward))
    limit = np.radians(PARAMETERS.max_tilt_deg)
    tilt = float(np.clip(np.arctan2(behind, outward), -limit, limit))
    # Fractional slices and columns of the volume under each column of the plane.
    through = volume.to_index(_target(femur))
    distance = (np.arange(volume.hu.shape[2]) - through[2]) * column_mm
    slices = through[0] + (behind_mm + distance * np.sin(tilt)) / slice_mm
    columns = through[2] + distance * np.cos(tilt) / column_mm
    count = max(1, round(PARAMETERS.slab_mm / slice_mm))
    hu = np.zeros(volume.hu.shape[1:], np.float32)
    for step in (np.arange(count) - (count - 1) / 2) * slice_mm:
        hu += _interpolate(
            volume,
            slices + step * np.cos(tilt) / slice_mm,
            columns - step * np.sin(tilt) / column_mm,
        )
    return Plane(
        index=slice_index(volume, femur),
        hu=np.rint(hu / count).astype(np.int16),
        position_mm=to_point(volume.to_mm((slices[0], 0, columns[0]))),
        row_spacing_mm=row_mm,
        column_spacing_mm=column_mm,
        source_sop_uid=None,
        row_direction=to_point(volume.affine[:3, 1] / row_mm),
        column_direction=to_point(np.cos(tilt) * leftward + np.sin(tilt) * backward),
    )


def slice_index(volume: Volume, femur: Femur) -> int:
    """Return the slice nearest to the point between head and neck of the planes."""
    index = np.rint(volume.to_index(_target(femur))[0])
    return int(np.clip(index, 0, volume.hu.shape[0] - 1))


def _target(femur: Femur) -> Floats:
    share = PARAMETERS.neck_share
    return np.asarray((1 - share) * np.array(femur.center_mm) + share * np.array(femur.neck_mm))


def _interpolate(volume: Volume, slices: Floats, columns: Floats) -> npt.NDArray[np.float32]:
    """Return (rows, columns) HU of an upright plane.

    ``slices``, ``columns`` : fractional slice and column of the volume for each column.
    """
    # (columns, rows), transposed at the end
    hu = np.zeros((len(slices), volume.hu.shape[1]), np.float32)
    slice_below, column_below = np.floor(slices).astype(int), np.floor(columns).astype(int)
    for behind in (0, 1):
        for left in (0, 1):
            index, column = slice_below + behind, column_below + left
            weight = (1 - np.abs(slices - index)) * (1 - np.abs(columns - column))
            inside = (index >= 0) & (index < volume.hu.shape[0])
            inside &= (column >= 0) & (column < volume.hu.shape[2])
            values = np.full(hu.shape, AIR_HU, np.float32)
            values[inside] = volume.hu[index[inside], :, column[inside]]
            hu += weight[:, None].astype(np.float32) * values
    return hu.T
