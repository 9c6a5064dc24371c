"""Search for the shaft of a femur: a tube of cortex below and beside the head.

The shaft distinguishes a hip from a shoulder: that of a humerus runs through below its own
head, that of a femur 3–5 cm beside it, at an angle to the neck between them.

Axes are (posterior, down, left), those of the grid.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import Grid, sphere_directions
from worker.pipeline.femurs.heads import Floats, SphereCandidate, surface_along
from worker.pipeline.femurs.necks import (
    Neck,
    azimuths,
    bone_beyond,
    openness,
    rod_scores,
    socket_share,
    surface_evidence,
    tilted_axes,
)
from worker.pipeline.femurs.sections import find_sections, ring_score


@dataclass(frozen=True, slots=True)
class ShaftParameters:
    """Search for the shaft. ``(start, stop, step)`` are arguments of ``np.arange``."""

    # Anatomy: distances from the center of the head to where the axes of neck and shaft meet.
    meeting_mm: tuple[float, ...] = (36.0, 43.0, 50.0, 57.0, 64.0)
    # Axes tried around that of the neck: tilt (tangent) and number.
    neck_tilt: float = 0.17
    neck_tilts: int = 4
    # Anatomy: cosine between neck (away from the head) and shaft (down): neck-shaft angles of
    # 108–150°.
    neck_shaft_cosine: tuple[float, float] = (0.30, 0.87)
    # 0002: distance of the head's center from the axis of the shaft, tried and fitted; in a
    # humerus it is 5–12 mm.
    offset_mm: tuple[float, float] = (24.0, 62.0)
    fitted_offset_mm: tuple[float, float] = (18.0, 66.0)
    # Anatomy: thighs are straight to flexed, a little to the side.
    max_sideways: float = 0.5
    max_backward: float = 0.4
    min_down: float = 0.35
    directions: int = 320

    # Levels below the meeting point, all and those of the search (cost). 0002: at least 24 mm
    # must be in view.
    level_mm: tuple[float, float, float] = (16.0, 81.0, 8.0)
    search_level_mm: tuple[float, ...] = (16.0, 24.0, 40.0, 56.0, 72.0)
    min_levels: int = 2
    # Search: radii of the tube, distance of an edge from them, rays across the axis.
    radius_mm: tuple[float, ...] = (10.0, 12.0, 14.0, 16.0, 18.0)
    radius_tolerance_mm: float = 3.0
    azimuths: int = 8
    width_mm: tuple[float, float, float] = (5.0, 25.1, 2.0)
    span_steps: int = 2
    # Share of a level's rays that must be in the volume, up to the width of this index (17 mm).
    min_in_volume: float = 0.8
    in_volume_width: int = 6

    # 0002: angles of a neck with its shaft are 130 ± 12°, and 8 ± 20° forward of the plane of
    # head and shaft: the shaft is bowed and runs a little behind the axis of the neck.
    neck_angle_deg: tuple[int, int, int] = (112, 150, 4)
    forward_angle_deg: tuple[int, int, int] = (-9, 25, 4)
    usual_angles_deg: tuple[float, float] = (130.0, 8.0)
    angle_sds_deg: tuple[float, float] = (12.0, 20.0)
    # Exponent of the scores in the mean axis; tuned.
    mean_exponent: int = 8

    # Fit of the axis: cosine with the last one, and number of fits.
    min_cosine: float = 0.9
    refinements: int = 3


PARAMETERS = ShaftParameters()

DIRECTIONS = sphere_directions(PARAMETERS.directions).astype(np.float64)
LEVELS_MM = np.arange(*PARAMETERS.level_mm)
SEARCH_LEVELS_MM = np.array(PARAMETERS.search_level_mm)
WIDTHS_MM = np.arange(*PARAMETERS.width_mm)
RADII_MM = np.array(PARAMETERS.radius_mm)
# (n, 2) neck-shaft angle, angle forward
NECK_ANGLES_DEG = np.array(
    [
        (angle, forward)
        for angle in range(*PARAMETERS.neck_angle_deg)
        for forward in range(*PARAMETERS.forward_angle_deg)
    ],
    np.float64,
)


@dataclass(frozen=True, slots=True, eq=False)
class Shaft:
    """The shaft of a femur.

    ``top`` : (3,) grid mm, point on the axis of the shaft nearest to that of the neck.
    ``direction`` : (3,) unit vector down the shaft. ``score`` : how clearly the tube is seen,
    0–1. ``offset_mm`` : distance of the head's center from the axis of the shaft.
    """

    top: Floats
    direction: Floats
    score: float
    offset_mm: float


def find_shaft(grid: Grid, sphere: SphereCandidate, neck: Neck) -> Shaft | None:
    """Find the best tube to which a neck can lead, None where none lies in the volume."""
    directions = _shaft_directions(neck)
    min_offset, max_offset = PARAMETERS.offset_mm
    best_score, best = 0.0, (sphere.center, neck.axis)
    best_mm = PARAMETERS.meeting_mm[0]
    axis, *tilted = tilted_axes(neck.axis, PARAMETERS.neck_tilt, PARAMETERS.neck_tilts)
    for number in range(len(PARAMETERS.meeting_mm) + len(tilted)):
        # All distances along the neck first, then the axes around it at the best of them.
        along = number < len(PARAMETERS.meeting_mm)
        meeting_mm = PARAMETERS.meeting_mm[number] if along else best_mm
        outward = axis if along else tilted[number - len(PARAMETERS.meeting_mm)]
        top = sphere.center + meeting_mm * outward
        offsets = np.linalg.norm(np.cross(meeting_mm * outward, directions), axis=1)
        near = directions[(offsets >= min_offset) & (offsets <= max_offset)]
        scores = tube_scores(grid, top, near)
        if scores.max(initial=0.0) > best_score:
            best_score, best_mm = float(scores.max()), meeting_mm
            best = (top, near[int(scores.argmax())])
    return fit_axis(grid, sphere, neck, *best) if best_score > 0 else None


def neck_between(grid: Grid, sphere: SphereCandidate, shaft: Shaft) -> Neck:
    """Find the neck between a head and its shaft by the usual angles of necks to shafts.

    The axis is a weighted mean over all angles, so that no single one decides.
    """
    down = shaft.direction
    outward = shaft.top - sphere.center
    outward = outward - (outward @ down) * down
    outward /= np.linalg.norm(outward)
    forward = np.cross(down, outward)
    forward *= -np.sign(forward[0])
    # (angles, 1) each
    neck_angle, forward_angle = np.radians(NECK_ANGLES_DEG.T)[..., None]
    # (angles, xyz)
    upright = -np.cos(neck_angle) * down + np.sin(neck_angle) * outward
    axes = np.cos(forward_angle) * upright + np.sin(forward_angle) * forward
    deviations = (NECK_ANGLES_DEG - PARAMETERS.usual_angles_deg) / PARAMETERS.angle_sds_deg
    usual = np.exp(-(deviations**2).sum(axis=1) / 2)
    closed, covered = surface_evidence(grid, sphere), bone_beyond(grid, sphere)
    scores = rod_scores(grid, sphere, axes) * openness(closed, axes) * usual
    scores *= socket_share(covered, axes)
    axis = (axes * scores[:, None] ** PARAMETERS.mean_exponent).sum(axis=0)
    length = float(np.linalg.norm(axis))
    if length == 0:
        return Neck(axes[0], 0.0)
    return Neck(axis / length, float(scores.max()))


def _shaft_directions(neck: Neck) -> Floats:
    """Return the (n, 3) directions that the shaft of a neck may have."""
    cosine = DIRECTIONS @ neck.axis
    low, high = PARAMETERS.neck_shaft_cosine
    between = (cosine >= low) & (cosine <= high)
    return np.asarray(DIRECTIONS[between & _is_thigh(DIRECTIONS)])


def _is_thigh(directions: Floats) -> npt.NDArray[np.bool_]:
    """Return the (n,) mask of directions in which a thigh can lie."""
    backward, down, left = directions.T
    sideways = np.abs(left) <= PARAMETERS.max_sideways
    backward_enough = backward <= PARAMETERS.max_backward
    return np.asarray(sideways & backward_enough & (down >= PARAMETERS.min_down))


def tube_scores(grid: Grid, top: Floats, directions: Floats) -> Floats:
    """Return the (n,) evidence of one tube around each axis out of ``top``.

    Mean over the levels in the volume of surfaces at one common radius; 0 where too few levels
    are in it.
    """
    # (axes, 1, xyz) * (1, levels, 1)
    centers = top + directions[:, None] * SEARCH_LEVELS_MM[None, :, None]
    around = azimuths(directions, PARAMETERS.azimuths)
    # (axes, 1, azimuths, 1, xyz) * (widths, 1)
    rays = (around[:, None, :, None] * WIDTHS_MM[:, None]).astype(np.float32)
    # (axes, levels, 1, 1, xyz) + (axes, 1, azimuths, widths, xyz)
    values = grid.nearest(centers.astype(np.float32)[:, :, None, None] + rays)
    span = PARAMETERS.span_steps
    # (axes, levels, azimuths, edges)
    surface = surface_along(values, span)
    edges_mm = (WIDTHS_MM[:-span] + WIDTHS_MM[span:]) / 2
    # (axes, levels)
    in_volume = np.isfinite(values[..., PARAMETERS.in_volume_width]).mean(axis=2)
    known = in_volume >= PARAMETERS.min_in_volume
    count = known.sum(axis=1)
    best = np.zeros(len(directions))
    for radius in RADII_MM:
        at_radius = np.abs(edges_mm - radius) <= PARAMETERS.radius_tolerance_mm
        near = surface[..., at_radius].max(axis=-1).mean(axis=2)
        best = np.maximum(best, (near * known).sum(axis=1) / np.maximum(count, 1))
    return np.asarray(np.where(count >= PARAMETERS.min_levels, best, 0.0))


def fit_axis(
    grid: Grid, sphere: SphereCandidate, neck: Neck, top: Floats, direction: Floats
) -> Shaft | None:
    """Fit the axis through the centers of the sections; None where it is no shaft."""
    for _ in range(PARAMETERS.refinements):
        middles, _ = find_sections(grid, top + direction * LEVELS_MM[:, None], direction)
        if len(middles) < PARAMETERS.min_levels:
            return None
        middle = middles.mean(axis=0)
        line = np.linalg.svd(middles - middle)[2][0]
        line *= np.sign(line @ direction)
        if len(middles) > PARAMETERS.min_levels and line @ direction > PARAMETERS.min_cosine:
            direction = line
        top = _nearest_on_line(middle, direction, sphere.center, neck.axis)
    offset = float(np.linalg.norm(np.cross(top - sphere.center, direction)))
    min_offset, max_offset = PARAMETERS.fitted_offset_mm
    if not min_offset <= offset <= max_offset or not _is_thigh(direction[None])[0]:
        return None
    middles, in_view = find_sections(grid, top + direction * LEVELS_MM[:, None], direction)
    score = ring_score(grid, middles, direction) * len(middles) / max(1, in_view)
    return Shaft(top, direction, score, offset)


def _nearest_on_line(point: Floats, direction: Floats, other: Floats, axis: Floats) -> Floats:
    """Return the point of a line that is nearest to another line, ``other`` along ``axis``."""
    cosine = float(direction @ axis)
    away = other - point
    along = (away @ direction - cosine * (away @ axis)) / max(1e-6, 1 - cosine**2)
    return np.asarray(point + along * direction)
