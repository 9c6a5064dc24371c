"""The 250 × 250 px crops around one hip, the input of the model."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from worker.pipeline.femur_shape import femur_distance
from worker.pipeline.results import GradedCrops, HipCrop
from worker.pipeline.volume import AIR_HU, Femur, Plane, PointMm

# Ha 2024, Eq. 1–2: w_max = center + width / 2, w_min = center − width / 2.
WINDOW_CENTER_HU = 500
WINDOW_WIDTH_HU = 2000
WINDOW_MIN_HU = WINDOW_CENTER_HU - WINDOW_WIDTH_HU / 2
WINDOW_MAX_HU = WINDOW_CENTER_HU + WINDOW_WIDTH_HU / 2
# Ha 2024: 250 px of a 50 cm field of view over 512 px; 244 mm a side.
CROP_PX = 250
CROP_PIXEL_MM = 500 / 512

Corners = tuple[PointMm, PointMm, PointMm, PointMm]
Hu = npt.NDArray[np.int16] | npt.NDArray[np.float32] | npt.NDArray[np.float64]


def window(hu: Hu) -> npt.NDArray[np.float32]:
    """Convert HU of any shape to 0–255 float32 by the paper's window (Ha 2024, Eq. 4)."""
    scaled = (np.asarray(hu, np.float32) - WINDOW_MIN_HU) / WINDOW_WIDTH_HU * 255
    return np.asarray(np.clip(scaled, 0, 255), np.float32)


def crop_hip(plane: Plane, femur: Femur) -> HipCrop:
    """Crop 244 × 244 mm around one femur out of its plane and apply the window.

    The crop is centered on the neck, projected on the plane: the neck is graded, and head,
    trochanter and about 12 cm of the shaft lie around it at every body size. The crop is
    resampled to 500/512 mm, smoothed first where the plane is finer. Outside the field of view
    is air (−1024 HU, so 0).
    """
    row, column = _corner(plane, femur)
    return HipCrop(
        row=row,
        col=column,
        size_px=CROP_PX,
        pixel_mm=CROP_PIXEL_MM,
        pixels=_pixels(plane, femur),
        corners_mm=_corners(plane, row, column),
        femur_mm=_femur_mm(plane, femur),
    )


def crop_graded(cuts: Sequence[Plane], femur: Femur, shown: Plane) -> GradedCrops:
    """Crop each of the parallel ``cuts`` (``femurs.planes.graded_cuts``) around one femur.

    The distances from the femur are those of the middle one. ``shown`` : the upright plane on
    which the heat map will be drawn.
    """
    pixels = np.stack([_pixels(each, femur) for each in cuts])
    return GradedCrops(
        pixels=pixels,
        femur_mm=np.broadcast_to(_femur_mm(cuts[len(cuts) // 2], femur), pixels.shape),
        cosine=float(np.dot(cuts[0].column_direction, shown.column_direction)),
    )


def _corner(plane: Plane, femur: Femur) -> tuple[float, float]:
    """Return the first row and column of the crop, pixels of the plane from its outer edge."""
    center_row, center_column = plane.to_index(femur.neck_mm)
    half_mm = CROP_PX * CROP_PIXEL_MM / 2
    # Pixel edges: the center of pixel i lies at i + 0.5.
    row = float(center_row + 0.5 - half_mm / plane.row_spacing_mm)
    return row, float(center_column + 0.5 - half_mm / plane.column_spacing_mm)


def _pixels(plane: Plane, femur: Femur) -> npt.NDArray[np.float32]:
    """Return the (250, 250) pixels of the crop, 0–255."""
    row, column = _corner(plane, femur)
    rows = crop_weights(plane.hu.shape[0], plane.row_spacing_mm, row)
    columns = crop_weights(plane.hu.shape[1], plane.column_spacing_mm, column)
    hu = rows @ (plane.hu.astype(np.float32) - AIR_HU) @ columns.T + AIR_HU
    return window(hu)


def _femur_mm(plane: Plane, femur: Femur) -> npt.NDArray[np.float32]:
    """Return the (250, 250) distances of the pixels of the crop from the femur, mm."""
    row, column = _corner(plane, femur)
    from_corner = (np.arange(CROP_PX, dtype=np.float64) + 0.5) * CROP_PIXEL_MM
    rows_mm = (row - 0.5) * plane.row_spacing_mm + from_corner
    columns_mm = (column - 0.5) * plane.column_spacing_mm + from_corner
    return femur_distance(plane, femur, rows_mm, columns_mm)


def crop_weights(count: int, spacing_mm: float, start: float) -> npt.NDArray[np.float32]:
    """Return the (250, count) weights of the source pixels of one axis in each crop pixel.

    ``start`` : edge of the crop, source pixels from the outer edge of the first. The filter is
    a triangle as wide as the larger of the two pixels: linear interpolation when enlarging,
    anti-aliasing when reducing. Weights outside the source are dropped without normalizing
    again, so that the outside counts as zero. (``femurs.grid.resampling_weights`` normalizes.)
    """
    ratio = CROP_PIXEL_MM / spacing_mm
    width = max(1.0, ratio)
    centers = start + (np.arange(CROP_PX) + 0.5) * ratio - 0.5
    # The triangle is normalized as if the source were unlimited.
    reach = math.ceil(width)
    around = np.floor(centers)[:, None] + np.arange(-reach, reach + 2)
    total = np.maximum(0, 1 - np.abs(around - centers[:, None]) / width).sum(axis=1)
    weights = np.maximum(0, 1 - np.abs(np.arange(count) - centers[:, None]) / width)
    return np.asarray(weights / total[:, None], np.float32)


def _corners(plane: Plane, row: float, column: float) -> Corners:
    bottom = row + CROP_PX * CROP_PIXEL_MM / plane.row_spacing_mm
    right = column + CROP_PX * CROP_PIXEL_MM / plane.column_spacing_mm

    def corner(at_row: float, at_column: float) -> PointMm:
        x, y, z = plane.to_mm((at_row - 0.5, at_column - 0.5)).tolist()
        return x, y, z

    return (
        corner(row, column),
        corner(row, right),
        corner(bottom, right),
        corner(bottom, column),
    )
