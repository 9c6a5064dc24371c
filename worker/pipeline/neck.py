"""Attenuation of the femoral neck's trabecular bone within an outline on the plane."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from worker.pipeline.neck_outline import STEP_MM, Border, Floats, find_border
from worker.pipeline.results import NeckAttenuation, NeckNotMeasured
from worker.pipeline.volume import AIR_HU, Femur, Plane

# The section starts beyond the head's surface and ends before the line between the
# trochanters; lengths scale with the radius of the head.
HEAD_GAP_MM = 2.0
SECTION_RADII = 0.55
# The axes of neck and shaft meet about half of a shaft beyond that line.
TROCHANTER_SHARE = 0.85
PICTURE_FROM_RADII, PICTURE_BEYOND_MM, PICTURE_HALF_WIDTH_RADII = 0.7, 6.0, 2.2

# The neck flares into a trochanter where its border lies ``FLARED`` times as far out as at its
# narrowest place; beyond, the region keeps nearly the width of the narrowest place.
SHOULDER_RADII = 0.8
FLARED = 1.25
KEPT_WIDTH = 1.15
MIN_SEEN, MIN_SEEN_MM = 0.5, 2.0
BOUNDARY_SIGMA_MM = 1.5

# A row with this share of cortex between the borders belongs to the shaft or a trochanter.
CORTEX_SHARE = 0.08
CORTEX_SIGMA_MM, CORTEX_TAPER_MM = 1.0, 2.5

MIN_LENGTH_MM, MIN_WIDTH_MM, MIN_PIXELS = 5.0, 6.0, 20
VERTEX_MM = 2.0
# Vertices are multiples of 1/256 px, which single precision represents exactly, and never lie
# on the center of a pixel.
SUBPIXELS = 256

NO_AXIS = NeckNotMeasured("The neck does not run in the plane.")
NO_OUTLINE = NeckNotMeasured("The outline of the neck cannot be seen.")
TOO_SMALL = NeckNotMeasured("Too little of the neck's trabecular bone lies in the plane.")


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """The plane resampled along the neck: rows away from the head, columns across it.

    ``hu`` : (rows, columns), ``STEP_MM`` a pixel. ``along_mm`` : (rows,) distance from the
    center of the head. ``across_mm`` : (columns,) distance from the axis. ``head``, ``along``,
    ``across`` : (2,) center of the head and unit vectors, mm along rows and columns of the
    plane from the center of its first pixel. ``start``, ``stop`` : rows of the section between
    head and trochanters.
    """

    hu: Floats
    along_mm: Floats
    across_mm: Floats
    head: Floats
    along: Floats
    across: Floats
    start: int
    stop: int


def neck_attenuation(plane: Plane, femur: Femur) -> NeckAttenuation | NeckNotMeasured:
    """Measure HU in the trabecular bone of the neck between head and trochanters.

    Along the axis of the neck the region starts 2 mm beyond the surface of the head and is
    0.55 radii of the head (about 13 mm) long, less where the trochanters are nearer or the
    cortex of the shaft crosses it. Across the axis it ends where no blurred cortex is left
    (``neck_outline``), and it does not follow the flare into the trochanters. Mean and SD are
    those of the pixels of the plane whose centers lie inside the outline, so that a reader
    who draws the outline gets the same values.
    """
    picture = _straighten(plane, femur)
    if picture is None:
        return NO_AXIS
    if (picture.stop - picture.start) * STEP_MM < MIN_LENGTH_MM:
        return TOO_SMALL
    radius_mm = femur.radius_mm
    sides = (
        find_border(picture.hu[:, ::-1], picture.across_mm, radius_mm),
        find_border(picture.hu, picture.across_mm, radius_mm),
    )
    bounds = [_boundary(picture, border, radius_mm) for border in sides]
    if bounds[0] is None or bounds[1] is None:
        return NO_OUTLINE
    low, high = -bounds[0], bounds[1]
    stop = _before_cortex(picture, sides, low, high)
    section = slice(picture.start, stop)
    if (stop - picture.start) * STEP_MM < MIN_LENGTH_MM or (high - low)[
        section
    ].min() < MIN_WIDTH_MM:
        return TOO_SMALL
    return _measure(plane, _outline_px(plane, picture, low, high, section))


def pixels_inside(
    outline_px: npt.NDArray[np.float64], shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return the mask, of ``shape``, of the pixels whose centers lie inside a closed outline.

    ``outline_px`` : (n, 2) (row, column), centers of pixels at whole numbers. Even-odd rule.
    """
    rows, columns = (np.arange(count, dtype=float) for count in shape)
    mask = np.zeros(shape, bool)
    for (row_1, column_1), (row_2, column_2) in zip(
        outline_px, np.roll(outline_px, -1, axis=0), strict=True
    ):
        crossed = np.flatnonzero((row_1 > rows) != (row_2 > rows))
        slope = (column_2 - column_1) / (row_2 - row_1) if crossed.size else 0.0
        at = column_1 + (rows[crossed] - row_1) * slope
        mask[crossed] ^= columns < at[:, None]
    return mask


def _straighten(plane: Plane, femur: Femur) -> _Picture | None:
    """Resample the plane along the neck; None where the neck does not run in the plane."""
    spacing = np.array([plane.row_spacing_mm, plane.column_spacing_mm])
    head: Floats = plane.to_index(femur.center_mm) * spacing
    axis = plane.to_index(femur.neck_mm) * spacing - head
    length = math.hypot(*axis)
    radius_mm = femur.radius_mm
    if length < radius_mm / 2:
        return None
    along = axis / length
    across = np.array([-along[1], along[0]])
    # A plane that misses the center of the head cuts a smaller circle out of its sphere.
    off_mm = math.dist(femur.center_mm, plane.to_mm(head / spacing))
    surface = math.sqrt(max(0.0, radius_mm**2 - off_mm**2))
    first = PICTURE_FROM_RADII * radius_mm
    begin = max(surface, first) + HEAD_GAP_MM
    end = begin + SECTION_RADII * radius_mm
    if femur.trochanter_mm is not None:
        trochanter = plane.to_index(femur.trochanter_mm) * spacing - head
        end = min(end, TROCHANTER_SHARE * float(trochanter @ along))
    along_mm: Floats = np.arange(first, end + PICTURE_BEYOND_MM, STEP_MM)
    half = round(PICTURE_HALF_WIDTH_RADII * radius_mm / STEP_MM)
    across_mm: Floats = STEP_MM * np.arange(-half, half + 1, dtype=np.float64)
    points = head + along_mm[:, None, None] * along + across_mm[:, None] * across
    index = np.moveaxis(points / spacing, -1, 0)
    hu = map_coordinates(plane.hu.astype(float), index, order=1, cval=AIR_HU)
    start, stop = (int(row) for row in np.searchsorted(along_mm, (begin, end)))
    return _Picture(hu, along_mm, across_mm, head, along, across, start, stop)


def _boundary(picture: _Picture, border: Border, radius_mm: float) -> Floats | None:
    """Return the (rows,) distance of the region's boundary from the axis, mm.

    None where too little of the border is seen.
    """
    shoulder = int(np.searchsorted(picture.along_mm, SHOULDER_RADII * radius_mm))
    narrow_stop = picture.start + (picture.stop - picture.start) * 2 // 3
    narrowest = shoulder + int(border.outer_mm[shoulder:narrow_stop].argmin())
    rows = np.arange(len(border.outer_mm))
    wide = border.outer_mm > FLARED * border.outer_mm[narrowest]
    flared = np.logical_or.accumulate(wide & (rows > narrowest))
    neck = (rows >= shoulder) & (rows < picture.stop) & ~flared
    used = neck & border.seen
    if used.sum() < max(MIN_SEEN * neck.sum(), MIN_SEEN_MM / STEP_MM):
        return None
    kept = KEPT_WIDTH * border.inner_mm[used].min()
    bound = np.where(used, np.minimum(border.inner_mm, kept), kept)
    return np.asarray(gaussian_filter1d(bound, BOUNDARY_SIGMA_MM / STEP_MM, mode="nearest"))


def _before_cortex(
    picture: _Picture, sides: tuple[Border, Border], low: Floats, high: Floats
) -> int:
    """Return the row before which the section ends, because cortex lies between the borders.

    A plane that leaves the neck runs into the cortex of the shaft.
    """
    section = slice(picture.start, picture.stop)
    cortex = max(float(np.median(side.cortex_hu[section])) for side in sides)
    marrow = float(np.mean([np.median(side.marrow_hu[section]) for side in sides]))
    smooth = gaussian_filter(picture.hu, CORTEX_SIGMA_MM / STEP_MM)
    inside = (picture.across_mm > low[:, None]) & (picture.across_mm < high[:, None])
    dense = (inside & (smooth > (cortex + marrow) / 2)).sum(axis=1)
    full = np.flatnonzero((dense > CORTEX_SHARE * inside.sum(axis=1))[section])
    if not full.size:
        return picture.stop
    return picture.start + int(full[0]) - round(CORTEX_TAPER_MM / STEP_MM)


def _outline_px(
    plane: Plane, picture: _Picture, low: Floats, high: Floats, section: slice
) -> Floats:
    """Return the (n, 2) vertices (row, column) around the region, the first not repeated."""
    count = max(2, 1 + round((section.stop - section.start) * STEP_MM / VERTEX_MM))
    rows = np.rint(np.linspace(section.start, section.stop - 1, count)).astype(int)
    along = np.concatenate([picture.along_mm[rows], picture.along_mm[rows[::-1]]])
    across = np.concatenate([low[rows], high[rows[::-1]]])
    points = picture.head + along[:, None] * picture.along + across[:, None] * picture.across
    outline = points / (plane.row_spacing_mm, plane.column_spacing_mm)
    return np.asarray((np.floor(outline * SUBPIXELS) + 0.5) / SUBPIXELS)


def _measure(plane: Plane, outline_px: Floats) -> NeckAttenuation | NeckNotMeasured:
    last = np.array(plane.hu.shape) - 1
    if (outline_px < 0).any() or (outline_px > last).any():
        return TOO_SMALL
    values = plane.hu[pixels_inside(outline_px, plane.hu.shape)].astype(float)
    if values.size < MIN_PIXELS:
        return TOO_SMALL
    row, column = outline_px.T
    doubled = float(np.sum(row * np.roll(column, -1) - column * np.roll(row, -1)))
    return NeckAttenuation(
        mean_hu=float(values.mean()),
        sd_hu=float(values.std(ddof=1)),
        area_mm2=abs(doubled) / 2 * plane.row_spacing_mm * plane.column_spacing_mm,
        pixels=int(values.size),
        outline_mm=tuple((x, y, z) for x, y, z in plane.to_mm(outline_px).tolist()),
    )
