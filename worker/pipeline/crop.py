"""The 250 × 250 px picture of one hip that the model sees, and the neck's attenuation."""

import math

import numpy as np
import numpy.typing as npt

from worker.pipeline.results import Femur, HipCrop, NeckAttenuation, Plane, PointMm

# Ha 2024, Eq. 1–2: w_max = center + width / 2, w_min = center − width / 2.
WINDOW_CENTER_HU = 500
WINDOW_WIDTH_HU = 2000
WINDOW_MIN_HU = WINDOW_CENTER_HU - WINDOW_WIDTH_HU / 2
WINDOW_MAX_HU = WINDOW_CENTER_HU + WINDOW_WIDTH_HU / 2
# Ha 2024: 250 px of a 50 cm field of view over 512 px; 244 mm a side.
CROP_PX = 250
CROP_PIXEL_MM = 500 / 512
AIR_HU = -1024

# The circle of the neck's trabecular bone stays this far inside the cortex's peak.
CORTEX_MARGIN_MM = 3.5
NECK_RADIUS_MM = (3.0, 8.0)
CORTEX_DISTANCE_MM = (7.0, 24.0)
CORTEX_MIN_HU = 150.0
PROFILE_STEP_MM = 0.5
PROFILE_HALF_WIDTH_MM = 3.0

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


def neck_attenuation(plane: Plane, femur: Femur) -> NeckAttenuation | None:
    """Mean and SD of HU in a circle of trabecular bone of the neck, or None.

    Across the neck, through its centre, the two cortices are the highest values on either
    side; the circle sits in the middle between them and keeps ``CORTEX_MARGIN_MM`` from
    each. None where the plane shows no cortex on both sides, or less than 3 mm radius fits.
    """
    axis = _unit_in_plane(plane, np.subtract(femur.neck_mm, femur.center_mm))
    if axis is None:
        return None
    across = np.array([-axis[1], axis[0]])
    center = _plane_mm(plane, femur.neck_mm)
    peaks = [_cortex_mm(plane, center, axis, across * sign) for sign in (-1, 1)]
    if peaks[0] is None or peaks[1] is None:
        return None
    radius = min(NECK_RADIUS_MM[1], (peaks[0] + peaks[1]) / 2 - CORTEX_MARGIN_MM)
    if radius < NECK_RADIUS_MM[0]:
        return None
    center = center + across * (peaks[1] - peaks[0]) / 2
    values = _disc(plane, center, radius)
    if values is None:
        return None
    row, column = center / (plane.row_spacing_mm, plane.column_spacing_mm)
    x, y, z = (float(value) for value in plane.to_mm((row, column)))
    return NeckAttenuation(
        float(values.mean()), float(values.std(ddof=1)), (x, y, z), float(radius)
    )


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


def _plane_mm(plane: Plane, position_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(2,) mm down the rows and along the columns from the first voxel centre."""
    spacing = (plane.row_spacing_mm, plane.column_spacing_mm)
    return np.asarray(plane.to_index(position_mm) * spacing)


def _unit_in_plane(
    plane: Plane, direction_mm: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64] | None:
    projected = np.array([plane.row_direction, plane.column_direction]) @ direction_mm
    length = float(np.linalg.norm(projected))
    return None if length < 1e-6 else np.asarray(projected / length)


def _cortex_mm(
    plane: Plane,
    center: npt.NDArray[np.float64],
    axis: npt.NDArray[np.float64],
    outward: npt.NDArray[np.float64],
) -> float | None:
    """Distance of the cortex's peak from the neck centre, mm, on a profile averaged along
    the axis; None where there is no peak of bone."""
    near, far = CORTEX_DISTANCE_MM
    distances = np.arange(near, far, PROFILE_STEP_MM)
    along = np.arange(-PROFILE_HALF_WIDTH_MM, PROFILE_HALF_WIDTH_MM + 1e-6, 1.0)
    points = center + distances[:, None, None] * outward + along[:, None] * axis
    profile = _sample(plane, points).mean(axis=1)
    # The first local maximum of bone: beyond it may lie the pelvis.
    for i in range(1, len(profile) - 1):
        if profile[i] >= CORTEX_MIN_HU and profile[i - 1] <= profile[i] > profile[i + 1]:
            return float(distances[i])
    return None


def _sample(plane: Plane, points_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Nearest HU at (…, 2) mm on the plane's grid, air outside."""
    spacing = (plane.row_spacing_mm, plane.column_spacing_mm)
    index = np.rint(points_mm / spacing).astype(int)
    inside = np.all((index >= 0) & (index < plane.hu.shape), axis=-1)
    clipped = np.clip(index, 0, np.array(plane.hu.shape) - 1)
    return np.where(inside, plane.hu[clipped[..., 0], clipped[..., 1]], AIR_HU).astype(float)


def _disc(
    plane: Plane, center: npt.NDArray[np.float64], radius_mm: float
) -> npt.NDArray[np.float64] | None:
    """HU of the pixels whose centres lie in a circle; None where fewer than five do or the
    circle leaves the plane."""
    rows = np.arange(plane.hu.shape[0]) * plane.row_spacing_mm - center[0]
    columns = np.arange(plane.hu.shape[1]) * plane.column_spacing_mm - center[1]
    if min(-rows[0], rows[-1], -columns[0], columns[-1]) < radius_mm:
        return None
    inside = rows[:, None] ** 2 + columns**2 <= radius_mm**2
    values = plane.hu[inside].astype(float)
    return values if values.size >= 5 else None
