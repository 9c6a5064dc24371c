"""Layout of the planes of the graded hips on the pixel grid of the overlay picture.

One plane fills the picture. Two are joined at the midline of the patient, half-way between the
crops: the plane of the right hip on the left of the picture, that of the left hip on the
right. The grid is that of the first plane, so that distances are correct within each half.
Where the planes have different directions (reformatted along each neck), they share the midline
only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.results import Hip, HipCrop
from worker.pipeline.volume import Plane

Floats = npt.NDArray[np.float64]

# Cosine of the angle below which two planes count as one direction: 0.5°.
PARALLEL_COSINE = 0.99996


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """The plane of one hip on the picture, in whole pixels of the picture.

    ``top``, ``left`` : row and column of the picture at which the plane begins, negative
    outside the picture. ``size`` : (rows, columns) of the plane. ``columns`` : the columns of
    the picture that show it. ``spacing_mm`` : (row, column) of the picture.
    """

    hip: Hip
    plane: Plane
    crop: HipCrop
    top: int
    left: int
    size: tuple[int, int]
    columns: slice
    spacing_mm: tuple[float, float]

    def to_picture(self, index: npt.ArrayLike) -> Floats:
        """Convert (…, 2) pixel edges (row, column) of the plane to those of the picture."""
        plane_mm = np.array([self.plane.row_spacing_mm, self.plane.column_spacing_mm])
        offset = np.array([self.top, self.left])
        return np.asarray(np.asarray(index, float) * plane_mm / self.spacing_mm + offset)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The pixel grid of the anatomy and the planes on it.

    ``size`` : (rows, columns); ``spacing_mm`` : (row, column). ``seam`` : column at which two
    different planes meet, None where there is one plane. ``different_directions`` : whether
    the planes share the seam only.
    """

    size: tuple[int, int]
    spacing_mm: tuple[float, float]
    halves: tuple[Half, ...]
    seam: int | None
    different_directions: bool


def lay_out_planes(hips: Sequence[Hip]) -> Layout:
    """Lay out the planes of the graded hips, right first, on the grid of the first plane.

    A second plane with other pixels is resampled. Raises ValueError where no hip is graded.
    """
    shown = [(hip, hip.plane, hip.crop) for hip in hips if hip.grade and hip.plane and hip.crop]
    if not shown:
        raise ValueError("A capture needs at least one graded hip with plane and crop.")
    planes = [plane for _, plane, _ in shown]
    spacing_mm = np.array([planes[0].row_spacing_mm, planes[0].column_spacing_mm])
    sizes = [np.rint(_extent_mm(plane) / spacing_mm).astype(int) for plane in planes]
    starts = [np.zeros(2, int)]
    seam = None
    if len(shown) == 2:
        starts, seam = _joined(shown[0][2], shown[1][2], planes, spacing_mm)
    ends = np.array([start + size for start, size in zip(starts, sizes, strict=True)])
    rows, columns = int(ends[:, 0].max()), int(ends[-1, 1])
    parts = [slice(0, columns)]
    if seam is not None:
        seam = min(max(seam, 1), columns - 1)
        parts = [slice(0, seam), slice(seam, columns)]
    spacing = float(spacing_mm[0]), float(spacing_mm[1])
    halves = tuple(
        Half(
            *hip_plane_crop,
            top=int(start[0]),
            left=int(start[1]),
            size=(int(own[0]), int(own[1])),
            columns=part,
            spacing_mm=spacing,
        )
        for hip_plane_crop, start, own, part in zip(shown, starts, sizes, parts, strict=True)
    )
    return Layout(
        size=(rows, columns),
        spacing_mm=spacing,
        halves=halves,
        seam=None if seam is None or (_same(planes) and not _of_two_series(hips)) else seam,
        different_directions=differ_in_direction(planes),
    )


def differ_in_direction(planes: Sequence[Plane]) -> bool:
    """Return whether planes differ in direction, not only in depth."""
    directions = [np.array(plane.column_direction) for plane in planes]
    return any(direction @ directions[0] < PARALLEL_COSINE for direction in directions[1:])


def _joined(
    right: HipCrop, left: HipCrop, planes: Sequence[Plane], spacing_mm: Floats
) -> tuple[list[npt.NDArray[np.int_]], int]:
    """Return the (row, column) at which each plane begins, and the column of the seam."""
    middle_mm = np.mean([*right.corners_mm, *left.corners_mm], axis=0)
    corners = [plane.to_mm((-0.5, -0.5)) for plane in planes]
    down = np.array(planes[0].row_direction)
    tops = [round(float((corner - corners[0]) @ down) / spacing_mm[0]) for corner in corners]
    # The seam of each plane is its intersection with the sagittal plane through the middle.
    seams = [
        round(float((middle_mm - corner)[0] / plane.column_direction[0]) / spacing_mm[1])
        for plane, corner in zip(planes, corners, strict=True)
    ]
    starts = [
        np.array([top - min(tops), seams[0] - seam])
        for top, seam in zip(tops, seams, strict=True)
    ]
    return starts, seams[0]


def _extent_mm(plane: Plane) -> Floats:
    return np.array(plane.hu.shape) * (plane.row_spacing_mm, plane.column_spacing_mm)


def _of_two_series(hips: Sequence[Hip]) -> bool:
    return len({hip.series_instance_uid for hip in hips if hip.grade}) > 1


def _same(planes: Sequence[Plane]) -> bool:
    return all(
        plane.index == planes[0].index and plane.position_mm == planes[0].position_mm
        for plane in planes
    ) and not differ_in_direction(planes)
