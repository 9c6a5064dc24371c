"""The 250 × 250 px picture of one hip that the model sees."""

import math

import numpy as np
import numpy.typing as npt

from worker.pipeline.results import Femur, HipCrop, Plane, PointMm

# Ha 2024, Eq. 1–2: w_max = center + width / 2, w_min = center − width / 2.
WINDOW_CENTER_HU = 500
WINDOW_WIDTH_HU = 2000
WINDOW_MIN_HU = WINDOW_CENTER_HU - WINDOW_WIDTH_HU / 2
WINDOW_MAX_HU = WINDOW_CENTER_HU + WINDOW_WIDTH_HU / 2
# Ha 2024: 250 px of a 50 cm field of view over 512 px; 244 mm a side.
CROP_PX = 250
CROP_PIXEL_MM = 500 / 512
AIR_HU = -1024

Corners = tuple[PointMm, PointMm, PointMm, PointMm]
Hu = npt.NDArray[np.int16] | npt.NDArray[np.float32] | npt.NDArray[np.float64]


def window(hu: Hu) -> npt.NDArray[np.float32]:
    """HU → 0–255 float32 by the paper's window, clipped (Ha 2024, Eq. 4); any shape."""
    scaled = (np.asarray(hu, np.float32) - WINDOW_MIN_HU) / WINDOW_WIDTH_HU * 255
    return np.asarray(np.clip(scaled, 0, 255), np.float32)


def crop_hip(plane: Plane, femur: Femur) -> HipCrop:
    """Cut the 244 × 244 mm around one femur out of its plane and window it.

    The anchor is the neck centre, projected on the plane: it is the middle of what the grade
    is read from, and head, trochanter and about 12 cm down the shaft lie around it at every
    body size. The picture is resampled to 500/512 mm, smoothed first where the plane is
    finer; outside of the field of view is air (−1024 HU, so 0).
    """
    center_row, center_column = plane.to_index(femur.neck_mm)
    half_mm = CROP_PX * CROP_PIXEL_MM / 2
    # Pixel edges: the centre of pixel i lies at i + 0.5.
    row = float(center_row + 0.5 - half_mm / plane.row_spacing_mm)
    column = float(center_column + 0.5 - half_mm / plane.column_spacing_mm)
    rows = resampling_weights(plane.hu.shape[0], plane.row_spacing_mm, row)
    columns = resampling_weights(plane.hu.shape[1], plane.column_spacing_mm, column)
    hu = rows @ (plane.hu.astype(np.float32) - AIR_HU) @ columns.T + AIR_HU
    return HipCrop(
        row=row,
        col=column,
        size_px=CROP_PX,
        pixel_mm=CROP_PIXEL_MM,
        pixels=window(hu),
        corners_mm=_corners(plane, row, column),
    )


def resampling_weights(count: int, spacing_mm: float, start: float) -> npt.NDArray[np.float32]:
    """(250, count) weights of the source pixels of one axis in each crop pixel.

    ``start`` : where the crop begins, source pixels from the outer edge of the first.
    A triangle as wide as the larger of the two pixels: linear interpolation when enlarging,
    anti-aliasing when reducing. Weights that would fall outside of the source are left out,
    so that outside counts as zero.
    """
    ratio = CROP_PIXEL_MM / spacing_mm
    width = max(1.0, ratio)
    centers = start + (np.arange(CROP_PX) + 0.5) * ratio - 0.5
    # The triangle is normalized as if the source had no end.
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
