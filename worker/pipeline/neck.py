"""Attenuation of the femoral neck's trabecular bone in a region of the volume."""

import math
from dataclasses import dataclass, replace

import numpy as np

from worker.pipeline.neck_axis import NeckAxis, encloses, sample, sample_evenly
from worker.pipeline.neck_outline import (
    DEPTH,
    HEIGHT,
    STEP_MM,
    Border,
    BorderRange,
    Floats,
    find_border,
)
from worker.pipeline.results import NeckAttenuation, NeckNotMeasured
from worker.pipeline.volume import Femur, Plane, Volume, to_point


@dataclass(frozen=True, slots=True)
class NeckParameters:
    """Region in the neck. Anatomy; measurements in 0035."""

    # The region starts beyond the head's surface and ends before the line between the
    # trochanters; lengths scale with the radius of the head.
    head_gap_mm: float = 2.0
    length_radii: float = 0.7
    # The axes of neck and shaft meet about half of a shaft beyond that line.
    trochanter_share: float = 0.85
    # Borders are looked for in pictures along the neck, each a mean over a slab.
    picture_from_radii: float = 0.7
    picture_beyond_mm: float = 6.0
    picture_half_width_radii: float = 2.2
    slab_half_mm: float = 3.0
    slab_step_mm: float = 1.5
    # The neck flares into a trochanter where its border lies this many times as far out as at
    # its narrowest place.
    flared: float = 1.25
    # Half axes of the region's section, as shares of half of the neck's height. A neck is 0.73
    # as deep as high (0035), so more than half of the way to each surface is left to cortex and
    # blur, at any thickness of the slices.
    height_share: float = 0.4
    depth_share: float = 0.2
    # Points across the region: about 1 mm apart.
    points_across: int = 17
    point_step_mm: float = 1.0
    # Share of the rows of a border with a visible cortex. Above, a border may leave the surface
    # where the greater trochanter begins.
    min_seen: float = 0.3
    # A section with this share of cortex belongs to the shaft or a trochanter.
    cortex_share: float = 0.08
    cortex_taper_mm: float = 2.5
    min_length_mm: float = 5.0
    min_height_mm: float = 6.0


PARAMETERS = NeckParameters()

# Parts of a pixel that single precision, as of SCOORD, represents exactly.
SUBPIXELS = 256

POSTERIOR: Floats = np.array([0.0, 1.0, 0.0])

NO_AXIS = NeckNotMeasured("The neck does not run in the plane.")
NO_OUTLINE = NeckNotMeasured("The outline of the neck cannot be seen.")
TOO_SMALL = NeckNotMeasured("Too little of the neck's trabecular bone is in view.")


@dataclass(frozen=True, slots=True, eq=False)
class _Core:
    """An elliptical cylinder in the neck.

    ``along_mm`` : (sections,) distances from the center of the head. ``up_mm``, ``behind_mm`` :
    center of all sections, from the axis. ``half_up_mm``, ``half_behind_mm`` : their half axes.
    """

    along_mm: Floats
    up_mm: float
    behind_mm: float
    half_up_mm: float
    half_behind_mm: float


def neck_attenuation(
    volume: Volume, plane: Plane, femur: Femur
) -> NeckAttenuation | NeckNotMeasured:
    """Measure HU in the trabecular bone of the neck between head and trochanters.

    The region is an elliptical cylinder in the volume, along the axis of the neck from 2 mm
    beyond the surface of the head on, 0.7 radii of the head (about 16 mm) long, less where the
    trochanters are nearer or cortex crosses it. It lies in the middle between the surfaces of
    the neck and fills a fixed share of its height, so it depends neither on the position nor on
    the thickness of the slices, and stays away from the blurred cortex. The outline is the
    projection of its widest part on the plane.
    """
    axis = _axis(plane, femur)
    if axis is None:
        return NO_AXIS
    if (axis.stop - axis.start) * STEP_MM < PARAMETERS.min_length_mm:
        return TOO_SMALL
    below, above = _borders(volume, axis, femur.radius_mm, HEIGHT)
    core = _core(axis, (below, above), _borders(volume, axis, femur.radius_mm, DEPTH))
    if core is None:
        return NO_OUTLINE
    core = _before_cortex(volume, axis, core, _cortex_hu(below, above, axis.section))
    return _measure(volume, plane, axis, core)


def _axis(plane: Plane, femur: Femur) -> NeckAxis | None:
    """Return the axis of the neck; None where it does not run in the plane.

    The direction across it lies in the coronal plane of the patient, not in that of ``plane``,
    so that all series give the same region.
    """
    head, offset = np.array(femur.center_mm), np.subtract(femur.neck_mm, femur.center_mm)
    radius_mm = femur.radius_mm
    shown_mm = np.hypot(offset @ plane.column_direction, offset @ plane.row_direction)
    if shown_mm < radius_mm / 2 or np.hypot(*offset[::2]) < radius_mm / 2:
        return None
    along = offset / np.linalg.norm(offset)
    up = np.cross(along, POSTERIOR)
    up *= math.copysign(1.0, up[2]) / np.linalg.norm(up)
    begin = radius_mm + PARAMETERS.head_gap_mm
    end = begin + PARAMETERS.length_radii * radius_mm
    if femur.trochanter_mm is not None:
        meeting = float(np.subtract(femur.trochanter_mm, head) @ along)
        end = min(end, PARAMETERS.trochanter_share * meeting)
    first = PARAMETERS.picture_from_radii * radius_mm
    along_mm: Floats = np.arange(first, end + PARAMETERS.picture_beyond_mm, STEP_MM)
    start, stop = (int(row) for row in np.searchsorted(along_mm, (begin, end)))
    behind = np.cross(along, up)
    behind *= math.copysign(1.0, behind[1])
    return NeckAxis(head, along, up, behind, along_mm, start, stop)


def _borders(
    volume: Volume, axis: NeckAxis, radius_mm: float, radii: BorderRange
) -> tuple[Border, Border]:
    """Return the borders below and above the axis, or in front of it and behind (``DEPTH``).

    The picture is a mean over a slab.
    """
    across, through = (axis.up, axis.behind) if radii is HEIGHT else (axis.behind, axis.up)
    half = round(PARAMETERS.picture_half_width_radii * radius_mm / STEP_MM)
    across_mm: Floats = STEP_MM * np.arange(-half, half + 1, dtype=np.float64)
    reach = PARAMETERS.slab_half_mm
    picture = np.zeros((len(axis.along_mm), len(across_mm)))
    steps = np.arange(-reach, reach + STEP_MM, PARAMETERS.slab_step_mm)
    rows = axis.head + axis.along_mm[:, None, None] * axis.along
    for step in steps:
        picture += sample(volume, rows + across_mm[:, None] * across + step * through)
    picture /= len(steps)
    return (
        find_border(picture[:, ::-1], across_mm, radius_mm, radii),
        find_border(picture, across_mm, radius_mm, radii),
    )


def _cortex_hu(below: Border, above: Border, section: slice) -> float:
    """Return the HU between the neck's cortex and its marrow."""
    sides = (below, above)
    cortex = max(float(np.median(side.cortex_hu[section])) for side in sides)
    marrow = float(np.mean([np.median(side.marrow_hu[section]) for side in sides]))
    return (cortex + marrow) / 2


def _core(
    axis: NeckAxis, height: tuple[Border, Border], depth: tuple[Border, Border]
) -> _Core | None:
    """Return the core between the surfaces of the neck; None where they are not seen.

    Its depth follows from the height, which every series shows sharply. The middle of the
    depth is that of the surfaces, or the axis where the slices do not show them.
    """
    below, above = (_surface_mm(border, axis.section) for border in height)
    if below is None or above is None:
        return None
    front, back = (_surface_mm(border, axis.section) for border in depth)
    half_mm = (below + above) / 2
    return _Core(
        along_mm=axis.along_mm[axis.section][:: round(PARAMETERS.point_step_mm / STEP_MM)],
        up_mm=(above - below) / 2,
        behind_mm=0.0 if front is None or back is None else (back - front) / 2,
        half_up_mm=PARAMETERS.height_share * half_mm,
        half_behind_mm=PARAMETERS.depth_share * half_mm,
    )


def _surface_mm(border: Border, section: slice) -> float | None:
    """Return the distance of a surface from the axis where it does not flare, mm.

    A median of the rows that show a cortex, from the head to where the neck widens into a
    trochanter; None where they are too few.
    """
    outer_mm = border.outer_mm[section]
    narrowest = int(outer_mm[: 1 + len(outer_mm) * 2 // 3].argmin())
    wide = np.flatnonzero(outer_mm[narrowest:] > PARAMETERS.flared * outer_mm[narrowest])
    stop = narrowest + int(wide[0]) if wide.size else len(outer_mm)
    seen = border.seen[section][:stop]
    if seen.mean() < PARAMETERS.min_seen:
        return None
    return float(np.median(outer_mm[:stop][seen]))


def _points(axis: NeckAxis, core: _Core) -> Floats:
    """Return (sections, points, 3) patient LPS mm inside the core, evenly distributed."""
    steps = np.linspace(-1, 1, PARAMETERS.points_across)
    up, behind = (each.ravel() for each in np.meshgrid(steps, steps))
    inside = np.hypot(up, behind) <= 1
    return axis.points(
        core.along_mm[:, None],
        core.up_mm + core.half_up_mm * up[inside],
        core.behind_mm + core.half_behind_mm * behind[inside],
    )


def _before_cortex(volume: Volume, axis: NeckAxis, core: _Core, cortex_hu: float) -> _Core:
    """Return the sections before the cortex of the shaft, where the core runs into it."""
    dense = (sample_evenly(volume, _points(axis, core)) > cortex_hu).mean(axis=1)
    full = np.flatnonzero(dense > PARAMETERS.cortex_share)
    if not full.size:
        return core
    end = core.along_mm[full[0]] - PARAMETERS.cortex_taper_mm
    return replace(core, along_mm=core.along_mm[core.along_mm <= end])


def _measure(
    volume: Volume, plane: Plane, axis: NeckAxis, core: _Core
) -> NeckAttenuation | NeckNotMeasured:
    length_mm = len(core.along_mm) * PARAMETERS.point_step_mm
    if length_mm < PARAMETERS.min_length_mm or 2 * core.half_up_mm < PARAMETERS.min_height_mm:
        return TOO_SMALL
    points, outline_mm = _points(axis, core), _outline_mm(plane, axis, core)
    index = plane.to_index(outline_mm)
    if (
        not encloses(volume, points)
        or (index < 0).any()
        or (index > np.array(plane.hu.shape) - 1).any()
    ):
        return TOO_SMALL
    values = sample_evenly(volume, points)
    section_mm2 = np.pi * core.half_up_mm * core.half_behind_mm
    return NeckAttenuation(
        mean_hu=float(values.mean()),
        sd_hu=float(values.std(ddof=1)),
        volume_mm3=float(section_mm2 * length_mm),
        area_mm2=_area_mm2(index * (plane.row_spacing_mm, plane.column_spacing_mm)),
        outline_mm=tuple(to_point(vertex) for vertex in outline_mm),
    )


def _outline_mm(plane: Plane, axis: NeckAxis, core: _Core) -> Floats:
    """Return (n, 3) vertices around the core's widest part, projected on the plane."""
    half = PARAMETERS.point_step_mm / 2
    first, last = core.along_mm[0] - half, core.along_mm[-1] + half
    low, high = core.up_mm - core.half_up_mm, core.up_mm + core.half_up_mm
    around = axis.points(
        np.array([first, last, last, first]),
        np.array([low, low, high, high]),
        np.full(4, core.behind_mm),
    )
    # Vertices are multiples of 1/256 px, which single precision represents exactly.
    index = np.rint(plane.to_index(around) * SUBPIXELS) / SUBPIXELS
    return plane.to_mm(index)


def _area_mm2(points: Floats) -> float:
    x, y = points.T
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2
