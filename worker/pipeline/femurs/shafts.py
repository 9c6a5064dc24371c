"""The shaft of a femur: a tube of cortex below and beside the head, at an angle to the neck.

This is what tells a hip from a shoulder: the shaft of a humerus runs through below its own
head, that of a femur 3–5 cm beside it, with a neck between.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import Floats32, Grid, sphere_directions
from worker.pipeline.femurs.heads import Ball, Floats, surface_along
from worker.pipeline.femurs.necks import (
    Neck,
    azimuths,
    bone_beyond,
    openness,
    rod_scores,
    socket,
    surface_of,
)

# Where the axis of the neck meets that of the shaft, from the centre of the head.
MEETS_MM = np.array([36.0, 43.0, 50.0, 57.0, 64.0])
# Cosine between neck (away from the head) and shaft (down): neck-shaft angles 108–150°.
BETWEEN = (0.30, 0.87)
OFFSET_MM = (24.0, 62.0)
FITTED_OFFSET_MM = (18.0, 66.0)
# Thighs are straight to flexed, a little to the side: grid axes are (posterior, down, left).
MAX_SIDEWAYS, MAX_BACKWARD, MIN_DOWN = 0.5, 0.4, 0.35
DIRECTIONS = sphere_directions(320).astype(np.float64)

LEVELS_MM = np.arange(16.0, 81.0, 8.0)
FEW_LEVELS_MM = np.array([16.0, 24.0, 40.0, 56.0, 72.0])
AZIMUTHS = 8
WIDTHS_MM = np.arange(5.0, 25.1, 2.0)
RADII_MM = np.array([10.0, 12.0, 14.0, 16.0, 18.0])
NEAR_MM = 3.0
MIN_LEVELS = 2
MIN_KNOWN = 0.8

# Angles of a neck with its shaft, and forward out of the plane of head and shaft: the shaft
# is bowed, and runs a little behind the axis of the neck.
NECK_ANGLES_DEG = np.array(
    [(angle, turn) for angle in range(112, 150, 4) for turn in range(-9, 25, 4)], np.float64
)
USUAL_DEG, SPREAD_DEG = (130.0, 8.0), (12.0, 20.0)

FINE_AZIMUTHS = 24
FINE_WIDTHS_MM = np.arange(5.0, 31.1, 1.0)
FINE_SPAN = 3
FINE_EDGES_MM = (FINE_WIDTHS_MM[:-FINE_SPAN] + FINE_WIDTHS_MM[FINE_SPAN:]) / 2
RING_MM = 2.5
# Thin old cortex in thick slices is still a ring: its place counts, not its height.
FULL_RING = 0.5
# Beyond a shaft lies muscle, with vessels full of contrast medium at most.
OUTSIDE_MM = (4.0, 11.0)
SOFT_HU = 220
CLEAR_EDGE = 0.2
MIN_OUTLINE = 0.6
MIN_COSINE = 0.9
REFINEMENTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Shaft:
    """``top`` : where the axes of neck and shaft are nearest, on the shaft's, grid mm.
    ``direction`` : unit vector down the shaft. ``score`` : how well the tube is seen, 0–1.
    ``offset_mm`` : distance of the head's centre from the shaft's axis."""

    top: Floats
    direction: Floats
    score: float
    offset_mm: float


def find_shaft(grid: Grid, ball: Ball, neck: Neck) -> Shaft | None:
    """The best tube that a neck can lead to; None where none lies in the volume."""
    directions = _directions(neck)
    best_score, best = 0.0, (ball.center, neck.axis)
    for axis in _around(neck.axis, 0.17):
        for meets in MEETS_MM:
            top = ball.center + meets * axis
            offsets = np.linalg.norm(np.cross(meets * axis, directions), axis=1)
            near = directions[(offsets >= OFFSET_MM[0]) & (offsets <= OFFSET_MM[1])]
            scores = tube_scores(grid, top, near)
            if scores.max(initial=0.0) > best_score:
                best_score, best = float(scores.max()), (top, near[int(scores.argmax())])
    return _refined(grid, ball, neck, *best) if best_score > 0 else None


def neck_between(grid: Grid, ball: Ball, shaft: Shaft) -> Neck:
    """The neck between a head and its shaft, by the angles that necks have to shafts.

    The axis is a mean over all of them, so that no single one decides.
    """
    down = shaft.direction
    across = shaft.top - ball.center
    across = across - (across @ down) * down
    across /= np.linalg.norm(across)
    forward = np.cross(down, across)
    forward *= -np.sign(forward[0])
    angle, turn = np.radians(NECK_ANGLES_DEG.T)[..., None]
    upright = -np.cos(angle) * down + np.sin(angle) * across
    axes = np.cos(turn) * upright + np.sin(turn) * forward
    usual = np.exp(-(((NECK_ANGLES_DEG - USUAL_DEG) / SPREAD_DEG) ** 2).sum(axis=1) / 2)
    closed, covered = surface_of(grid, ball), bone_beyond(grid, ball)
    scores = rod_scores(grid, ball, axes) * openness(closed, axes) * usual
    scores *= socket(covered, axes)
    axis = (axes * scores[:, None] ** 8).sum(axis=0)
    length = float(np.linalg.norm(axis))
    if length == 0:
        return Neck(axes[0], 0.0)
    return Neck(axis / length, float(scores.max()))


def _directions(neck: Neck) -> Floats:
    cosine = DIRECTIONS @ neck.axis
    between = (cosine >= BETWEEN[0]) & (cosine <= BETWEEN[1])
    return np.asarray(DIRECTIONS[between & _is_thigh(DIRECTIONS)])


def _is_thigh(directions: Floats) -> npt.NDArray[np.bool_]:
    """(n,) whether a patient can lie with a thigh along each direction."""
    backward, down, left = directions.T
    sideways = np.abs(left) <= MAX_SIDEWAYS
    return np.asarray(sideways & (backward <= MAX_BACKWARD) & (down >= MIN_DOWN))


def _around(axis: Floats, spread: float) -> Floats:
    """The axis and four unit vectors around it."""
    axes = np.vstack([axis[None], axis + spread * azimuths(axis[None], 4)[0]])
    return np.asarray(axes / np.linalg.norm(axes, axis=1, keepdims=True))


def tube_scores(grid: Grid, top: Floats, directions: Floats) -> Floats:
    """(n,) evidence of one tube around each axis out of ``top``: mean over the levels in the
    volume of surfaces at one common radius; 0 where too few levels are in it."""
    centers = top + directions[:, None] * FEW_LEVELS_MM[None, :, None]
    around = azimuths(directions, AZIMUTHS)
    rays = around[:, None, :, None] * WIDTHS_MM[:, None]
    values = grid.nearest((centers[:, :, None, None] + rays).astype(np.float32))
    surface = surface_along(values, 2)
    at = (WIDTHS_MM[:-2] + WIDTHS_MM[2:]) / 2
    known = np.isfinite(values[..., 6]).mean(axis=2) >= MIN_KNOWN
    count = known.sum(axis=1)
    best = np.zeros(len(directions))
    for radius in RADII_MM:
        near = surface[..., np.abs(at - radius) <= NEAR_MM].max(axis=-1).mean(axis=2)
        best = np.maximum(best, (near * known).sum(axis=1) / np.maximum(count, 1))
    return np.asarray(np.where(count >= MIN_LEVELS, best, 0.0))


def _refined(
    grid: Grid, ball: Ball, neck: Neck, top: Floats, direction: Floats
) -> Shaft | None:
    """Fit the axis through the centres of the tube's outlines."""
    for _ in range(REFINEMENTS):
        middles, _ = sections(grid, top + direction * LEVELS_MM[:, None], direction)
        if len(middles) < MIN_LEVELS:
            return None
        middle = middles.mean(axis=0)
        line = np.linalg.svd(middles - middle)[2][0]
        line *= np.sign(line @ direction)
        if len(middles) > MIN_LEVELS and line @ direction > MIN_COSINE:
            direction = line
        top = _nearest(middle, direction, ball.center, neck.axis)
    offset = float(np.linalg.norm(np.cross(top - ball.center, direction)))
    fits = FITTED_OFFSET_MM[0] <= offset <= FITTED_OFFSET_MM[1]
    if not fits or not _is_thigh(direction[None])[0]:
        return None
    middles, in_view = sections(grid, top + direction * LEVELS_MM[:, None], direction)
    score = ring_score(grid, middles, direction) * len(middles) / max(1, in_view)
    return Shaft(top, direction, score, offset)


def sections(grid: Grid, centers: Floats, direction: Floats) -> tuple[Floats, int]:
    """(m, 3) centres of the sections of a tube that show most of their outline, of those
    around (n, 3) points of its axis, and how many of these are in view."""
    around, values = _across(grid, centers, direction)
    known = np.isfinite(values[..., RADII_MM[-1] >= FINE_WIDTHS_MM]).all(axis=2)
    inside = known.mean(axis=1) >= MIN_KNOWN
    surface = surface_along(values, FINE_SPAN)
    clear = surface.max(axis=2) > CLEAR_EDGE
    outlined = np.flatnonzero(inside & (clear.mean(axis=1) > MIN_OUTLINE))
    # The mean of a circle's points seen from beside its centre lies half-way to it.
    middles = [
        centers[level] + 2 * (around * _reach(surface[level])[:, None]).mean(axis=0)
        for level in outlined
    ]
    return np.array(middles).reshape(-1, 3), int(inside.sum())


def ring_score(grid: Grid, middles: Floats, direction: Floats) -> float:
    """How much sections look like those of a femur's shaft, 0–1: each a ring of cortex of one
    radius, with nothing but soft tissue around it.

    In the pelvis many a bone has an edge in every direction, but at all distances, and more
    bone beyond it: between ilium and sacrum a ball with a neck was taken for a hip.
    """
    if not len(middles):
        return 0.0
    _, values = _across(grid, middles, direction)
    surface = surface_along(values, FINE_SPAN)
    radius = np.array([np.median(_reach(section)) for section in surface])[:, None]
    ring = surface * (np.abs(FINE_EDGES_MM - radius) <= RING_MM)[:, None]
    beyond = FINE_WIDTHS_MM - radius
    outside = (beyond >= OUTSIDE_MM[0]) & (beyond <= OUTSIDE_MM[1])
    bone = ((values > SOFT_HU) & outside[:, None]).any(axis=2)
    seen = np.minimum(1, ring.max(axis=2) / FULL_RING)
    return float((seen * ~bone).mean())


def _reach(surface: npt.NDArray[np.floating]) -> Floats:
    """(a,) mm at which each ray of a section meets its edge; where that is unclear, the
    median of the clear ones."""
    clear = surface.max(axis=1) > CLEAR_EDGE
    width = FINE_EDGES_MM[surface.argmax(axis=1)]
    usual = float(np.median(width[clear])) if clear.any() else 0.0
    return np.asarray(np.where(clear, width, usual))


def _across(grid: Grid, centers: Floats, direction: Floats) -> tuple[Floats, Floats32]:
    """(a, 3) directions around an axis, and (n, a, widths) HU along them."""
    around = azimuths(direction[None], FINE_AZIMUTHS)[0]
    rays = around[:, None] * FINE_WIDTHS_MM[:, None]
    return around, grid.interpolate(centers[:, None, None] + rays)


def _nearest(point: Floats, direction: Floats, other: Floats, axis: Floats) -> Floats:
    """The point of a line that is nearest to another line."""
    between = float(direction @ axis)
    away = other - point
    along = (away @ direction - between * (away @ axis)) / max(1e-6, 1 - between**2)
    return np.asarray(point + along * direction)
