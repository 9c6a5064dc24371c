"""Where the planes of the graded hips lie on the one pixel grid of the capture.

One plane fills it. Two are joined at the midline of the patient, half-way between the crops:
to its left in the picture lies the right hip's plane, to its right the left hip's. Each half
keeps its own millimetres. Where the planes are turned apart (reformatted along each neck)
only the midline itself is common to both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.results import Hip, HipCrop, Plane

Floats = npt.NDArray[np.float64]

MIN_COLUMNS = 512
SQUARE_TOLERANCE = 0.01
# Cosine of the angle below which two planes count as one direction: 0.5°.
PARALLEL_COSINE = 0.99996


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """One hip's plane on the picture, in whole pixels of the picture.

    ``top``, ``left`` : the picture's row and column at which the plane begins, before the
    picture where negative. ``size`` : (rows, columns) of the plane. ``columns`` : those of
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
        """(…, 2) pixel edges of the plane (row, column) → those of the picture."""
        plane_mm = np.array([self.plane.row_spacing_mm, self.plane.column_spacing_mm])
        offset = np.array([self.top, self.left])
        return np.asarray(np.asarray(index, float) * plane_mm / self.spacing_mm + offset)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """``size`` : (rows, columns) of the anatomy; ``spacing_mm`` : (row, column).

    ``seam`` : column at which two different planes meet, None where there is one plane.
    ``turned`` : whether they are turned apart, so that nothing is common but the seam.
    """

    size: tuple[int, int]
    spacing_mm: tuple[float, float]
    halves: tuple[Half, ...]
    seam: int | None
    turned: bool


def arrange(hips: Sequence[Hip]) -> Layout:
    """Lay out the planes of the graded hips, right first; square pixels, 512 columns or more.

    A plane with square pixels keeps its grid, magnified by a whole number where the picture
    has fewer than 512 columns; one without is resampled. Raises ValueError where no hip is
    graded.
    """
    shown = [(hip, hip.plane, hip.crop) for hip in hips if hip.grade and hip.plane and hip.crop]
    if not shown:
        raise ValueError("A capture needs at least one graded hip with plane and crop.")
    planes = [plane for _, plane, _ in shown]
    rows, columns = _square(planes[0])
    spacing_mm = _extent_mm(planes[0]) / (rows, columns)
    sizes = [np.rint(_extent_mm(plane) / spacing_mm).astype(int) for plane in planes]
    starts = [np.zeros(2, int)]
    seam = None
    if len(shown) == 2:
        starts, seam = _joined(shown[0][2], shown[1][2], planes, spacing_mm)
    ends = np.array([start + size for start, size in zip(starts, sizes, strict=True)])
    size = np.array([ends[:, 0].max(), ends[-1, 1]])
    factor = -(-MIN_COLUMNS // int(size[1]))
    parts = [slice(0, int(size[1]) * factor)]
    if seam is not None:
        seam = min(max(seam, 1), int(size[1]) - 1) * factor
        parts = [slice(0, seam), slice(seam, parts[0].stop)]
    scaled_mm = float(spacing_mm[0] / factor), float(spacing_mm[1] / factor)
    halves = tuple(
        Half(
            *who,
            top=int(start[0]) * factor,
            left=int(start[1]) * factor,
            size=(int(own[0]) * factor, int(own[1]) * factor),
            columns=part,
            spacing_mm=scaled_mm,
        )
        for who, start, own, part in zip(shown, starts, sizes, parts, strict=True)
    )
    return Layout(
        size=(int(size[0]) * factor, int(size[1]) * factor),
        spacing_mm=scaled_mm,
        halves=halves,
        seam=None if seam is None or _same(planes) else seam,
        turned=turned_apart(planes),
    )


def turned_apart(planes: Sequence[Plane]) -> bool:
    """Whether planes differ in direction, not only in depth."""
    directions = [np.array(plane.column_direction) for plane in planes]
    return any(direction @ directions[0] < PARALLEL_COSINE for direction in directions[1:])


def _joined(
    right: HipCrop, left: HipCrop, planes: Sequence[Plane], spacing_mm: Floats
) -> tuple[list[npt.NDArray[np.int_]], int]:
    """Where both planes begin on a picture that begins with the right one, and the seam."""
    middle_mm = np.mean([*right.corners_mm, *left.corners_mm], axis=0)
    corners = [plane.to_mm((-0.5, -0.5)) for plane in planes]
    down = np.array(planes[0].row_direction)
    tops = [round(float((corner - corners[0]) @ down) / spacing_mm[0]) for corner in corners]
    # Both planes are cut by the sagittal plane through the middle.
    seams = [
        round(float((middle_mm - corner)[0] / plane.column_direction[0]) / spacing_mm[1])
        for plane, corner in zip(planes, corners, strict=True)
    ]
    starts = [
        np.array([top - min(tops), seams[0] - seam])
        for top, seam in zip(tops, seams, strict=True)
    ]
    return starts, seams[0]


def _square(plane: Plane) -> tuple[int, int]:
    """(rows, columns) of a plane on square pixels of its finer spacing."""
    rows, columns = plane.hu.shape
    row_mm, column_mm = plane.row_spacing_mm, plane.column_spacing_mm
    if abs(row_mm / column_mm - 1) <= SQUARE_TOLERANCE:
        return rows, columns
    pixel_mm = min(row_mm, column_mm)
    return round(rows * row_mm / pixel_mm), round(columns * column_mm / pixel_mm)


def _extent_mm(plane: Plane) -> Floats:
    return np.array(plane.hu.shape) * (plane.row_spacing_mm, plane.column_spacing_mm)


def _same(planes: Sequence[Plane]) -> bool:
    return all(
        plane.index == planes[0].index and plane.position_mm == planes[0].position_mm
        for plane in planes
    ) and not turned_apart(planes)
