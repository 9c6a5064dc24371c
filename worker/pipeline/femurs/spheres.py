"""Centre and radius of a femoral head to a fraction of a voxel.

Around a head lies a second, larger shell: the acetabulum. Where bone is thin, or the joint
space is lost, the two make one plate, and the clearest edge is that of the socket. What
holds then is the head's surface outside of the socket, a belt around the neck's side, and on
the socket's side the inner face of the plate. Edges are taken as what a ray out of the head
meets *first*, and none is decided on before all rays agree on a sphere.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import Grid, sphere_directions
from worker.pipeline.femurs.heads import Ball, Floats

DIRECTIONS = sphere_directions(240).astype(np.float64)
FEW_DIRECTIONS = sphere_directions(120).astype(np.float64)
# Rays nearer to the neck than this leave the head without a surface.
NECK_COSINE = 0.45
# On the neck's side of the head's equator no socket covers it.
FREE_COSINE = -0.05
FREE_WEIGHT = 2.0

STEP_MM = 0.5
RADII_MM = np.arange(13.0, 34.1, STEP_MM)
SPAN = 6
LOWEST_HU, HIGHEST_HU = -50, 1000
CLEAR_EDGE_HU = 160.0
BONE_HU = (80.0, 160.0)
SOFT_HU = (200.0, 300.0)
# The inner face of the plate under the cartilage, and how far outside of it the head ends.
INNER_FACE_WEIGHT = 0.2
PLATE_STEPS = 3
MOST_CERTAIN = 0.9

START_RADII_MM = (20.0, 24.0)
# How far from the last sphere an edge may lie (SD of its weight), fit after fit.
SPREADS_MM = (4.0, 3.0, 2.2, 1.6, 1.3, 1.3)
FEW_SPREADS_MM = (4.0, 2.5, 1.6)
SURFACE_SPREAD_MM = 1.5
MAX_STEP_MM = 4.0
DAMPING = 0.02
MIN_RAYS = 40
SMALLEST_MM, LARGEST_MM = 16.5, 31.0
# Radii of adult femoral heads, women and men together.
USUAL_RADIUS_MM, USUAL_SPREAD_MM = 23.0, 3.0


def fit_sphere(grid: Grid, ball: Ball, neck_axis: Floats) -> Ball:
    """The best sphere that is reached from several radii: its surface is seen best, its size
    is usual. ``roundness`` of the answer is how clearly it is seen, 0–1."""
    rays, free = _rays(DIRECTIONS, neck_axis)
    fits = [_fit(grid, ball, radius, rays, free, SPREADS_MM) for radius in START_RADII_MM]
    return max(fits, key=lambda fit: fit.roundness * usualness(fit.radius_mm))


def fit_roughly(grid: Grid, ball: Ball, neck_axis: Floats) -> Ball:
    """The sphere that is reached from the ball's own radius, by fewer rays and steps."""
    rays, free = _rays(FEW_DIRECTIONS, neck_axis)
    return _fit(grid, ball, ball.radius_mm, rays, free, FEW_SPREADS_MM)


def _rays(directions: Floats, neck_axis: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    cosines = directions @ neck_axis
    rays = cosines < NECK_COSINE
    return directions[rays], cosines[rays] > FREE_COSINE


def usualness(radius_mm: float) -> float:
    """0–1, how near a radius is to that of most heads."""
    return math.exp(-(((radius_mm - USUAL_RADIUS_MM) / USUAL_SPREAD_MM) ** 2) / 2)


def _fit(
    grid: Grid,
    ball: Ball,
    radius: float,
    rays: Floats,
    free: npt.NDArray[np.bool_],
    spreads_mm: Sequence[float],
) -> Ball:
    """Weighted least squares on the edges near the sphere, in ever narrower windows."""
    center = ball.center
    design = np.column_stack([rays, np.ones(len(rays))])
    keep = np.diag([DAMPING, DAMPING, DAMPING, 0.0])
    for spread in spreads_mm:
        evidence, _ = first_edges(grid, center, rays, free)
        weights = evidence * np.exp(-(((RADII_MM - radius) / spread) ** 2) / 2)
        total = weights.sum(axis=1)
        if (total > 1e-3).sum() < MIN_RAYS:
            return Ball(center, radius, ball.score)
        edge = weights @ RADII_MM / np.maximum(total, 1e-9)
        normal = design.T @ (design * total[:, None]) + keep * total.sum()
        *step, radius = np.linalg.solve(normal, design.T @ (total * edge))
        length = float(np.linalg.norm(step))
        center = center + np.array(step) * min(1.0, MAX_STEP_MM / max(length, 1e-9))
        radius = float(np.clip(radius, SMALLEST_MM, LARGEST_MM))
    evidence, known = first_edges(grid, center, rays, free)
    near = evidence * np.exp(-(((RADII_MM - radius) / SURFACE_SPREAD_MM) ** 2) / 2)
    inside = known[:, int(np.abs(RADII_MM - radius).argmin())]
    if inside.sum() < MIN_RAYS:
        return Ball(center, radius, ball.score)
    seen = near.max(axis=1)[inside].sum() / np.where(free, FREE_WEIGHT, 1.0)[inside].sum()
    return Ball(center, radius, ball.score, float(seen))


def first_edges(
    grid: Grid, center: Floats, rays: Floats, free: npt.NDArray[np.bool_]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(rays, radii) evidence that the head ends there, and whether it lies in the volume.

    Bone that falls to soft tissue, and in the socket also the rise to the plate, each
    discounted by what the ray met before.
    """
    half = SPAN / 2 * STEP_MM
    at = np.arange(RADII_MM[0] - half, RADII_MM[-1] + half + 0.01, STEP_MM)
    values = grid.original(center + rays[:, None] * at[None, :, None])
    values = np.clip(values, LOWEST_HU, HIGHEST_HU)
    inner, outer = values[:, :-SPAN], values[:, SPAN:]
    fall = inner - outer
    known = np.isfinite(fall)
    noise = 1.48 * float(np.nanmedian(np.abs(fall[:, :SPAN]))) if known.any() else 0.0
    bone = np.clip((inner - BONE_HU[0]) / (BONE_HU[1] - BONE_HU[0]), 0, 1)
    soft = np.clip((SOFT_HU[1] - outer) / (SOFT_HU[1] - SOFT_HU[0]), 0, 1)
    ends = np.clip((fall - noise) / CLEAR_EDGE_HU, 0, MOST_CERTAIN) * bone * soft
    face = np.zeros_like(ends)
    rise = np.clip((-fall - noise) / CLEAR_EDGE_HU, 0, MOST_CERTAIN)
    face[:, PLATE_STEPS:] = INNER_FACE_WEIGHT * rise[:, :-PLATE_STEPS]
    face[free] = 0
    edge = np.clip(np.nan_to_num(ends) + np.nan_to_num(face), 0, MOST_CERTAIN)
    passed = np.cumprod(1 - edge / 2, axis=1)
    edge[:, 1:] *= passed[:, :-1]
    return edge * np.where(free, FREE_WEIGHT, 1.0)[:, None], known
