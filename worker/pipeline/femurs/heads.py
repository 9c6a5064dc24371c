"""Balls of bone with an edge all around: candidates for femoral heads.

From every point of bone-like density rays go out in all directions. In a femoral head the
values along most rays stay those of trabecular bone until the surface, where they drop to
cartilage, capsule or fat at one common distance; only the rays into the neck go on. The edge
of a vertebra, trochanter or bladder lies at no common distance, a cortical tube has edges
inside. Radii of adult femoral heads are 17–30 mm.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.femurs.grid import Grid, sphere_directions

RADII_MM = np.arange(18.0, 30.1, 1.0)
MIN_RAYS_INSIDE = 0.55
BLOCK = 3
INTERIOR_MEAN_HU = (10.0, 700.0)
INTERIOR_LOWEST_HU = -50.0
SHELL_HU = 170
SHELL_MM = 22.0
SHELL_SHARE = 0.85
SHELL_DIRECTIONS = sphere_directions(26)
PAD = 8
MAX_POINTS = 5000
CANDIDATES = 64
CANDIDATE_DISTANCE_MM = 12.0
FULL_EDGE_HU = 200.0
STEADY_HU = 170.0
# Weight of what lies within a ball against it: one edge may be a coarse trabecula, or noise.
ENDS = 0.25
SOFT_HU = (100.0, 240.0)
BONE_HU = (100.0, 180.0)

Floats = npt.NDArray[np.float64]
Profiles = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Ball:
    """A sphere, grid mm. ``score`` : evidence of a surface all around, at most 1.

    ``roundness`` : share of the rays (neck left out) that end at the sphere's radius; it is
    known after ``fit_sphere``.
    """

    center: Floats
    radius_mm: float
    score: float
    roundness: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Balls:
    """Every point of a volume that may lie inside a head: (n, 3) grid mm, with its best
    score and radius."""

    points: Floats
    scores: Floats
    radii_mm: Floats

    def best(self, among: npt.NDArray[np.bool_] | None = None) -> tuple[Ball, ...]:
        """The candidates, or those ``among`` some of the points, best first."""
        scores = self.scores if among is None else np.where(among, self.scores, 0.0)
        return tuple(
            Ball(self.points[i], float(self.radii_mm[i]), float(scores[i]))
            for i in spread_out(self.points, scores)
        )


def find_balls(grid: Grid) -> Balls:
    """The balls of a volume around all of its points of bone."""
    points = bone_points(grid)
    return Balls(points, *score_points(grid, points, COARSE_DIRECTIONS, COARSE_STEPS))


def bone_points(grid: Grid) -> Floats:
    """(n, 3) grid mm, about 6 mm apart, that may lie inside a head: no cortex and no fat
    around them, and bone in nearly every direction at a head's radius.

    Trabecular bone is not asked for: that of an old head is no denser than muscle.
    """
    shape = np.array(grid.hu.shape) // BLOCK
    if shape.min() < 1:
        return np.empty((0, 3))
    kept = grid.hu[tuple(slice(0, n * BLOCK) for n in shape)]
    blocks = kept.reshape(shape[0], BLOCK, shape[1], BLOCK, shape[2], BLOCK)
    means = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    bone = ndimage.binary_dilation(blocks.max(axis=(1, 3, 5)) > SHELL_HU, iterations=1)
    around = ndimage.uniform_filter(means, 3, mode="nearest")
    lowest = ndimage.minimum_filter(means, 3, mode="nearest")
    low, high = INTERIOR_MEAN_HU
    inside = (around > low) & (around < high) & (lowest > INTERIOR_LOWEST_HU)
    points = np.argwhere(inside)
    offsets = np.rint(SHELL_MM * SHELL_DIRECTIONS / (BLOCK * grid.voxel_mm)).astype(int)
    at = np.pad(bone, PAD, constant_values=True)
    surrounded = np.zeros(len(points), int)
    for offset in offsets:
        surrounded += at[tuple((points + offset + PAD).T)]
    chosen = points[surrounded >= SHELL_SHARE * len(offsets)]
    # Noise alone looks like bone everywhere; no patient needs as many.
    chosen = chosen[:: math.ceil(len(chosen) / MAX_POINTS) or 1]
    return np.asarray((chosen * BLOCK + (BLOCK - 1) / 2) * grid.voxel_mm)


COARSE_DIRECTIONS = sphere_directions(96)
COARSE_STEPS = np.arange(4.0, 34.1, 2.0)
CHUNK = 512
NUDGES = np.concatenate([np.zeros((1, 3)), 3.0 * np.eye(3), -3.0 * np.eye(3)])


def ray_values(grid: Grid, points: Floats, directions: Profiles, steps: Floats) -> Profiles:
    """(points, directions, steps) HU, NaN outside of the volume."""
    rays = directions[:, None] * steps[None, :, None].astype(np.float32)
    return grid.nearest(points[:, None, None].astype(np.float32) + rays)


def surface_along(values: Profiles, span: int) -> Profiles:
    """Evidence (0–1) that bone ends between step i and i + span, last axis shorter by span:
    the fall of the values, where the inner is that of bone and the outer of soft tissue."""
    inner, outer = values[..., :-span], values[..., span:]
    fall = np.clip((inner - outer) / FULL_EDGE_HU, 0, 1)
    bone = np.clip((inner - BONE_HU[0]) / (BONE_HU[1] - BONE_HU[0]), 0, 1)
    soft = np.clip((SOFT_HU[1] - outer) / (SOFT_HU[1] - SOFT_HU[0]), 0, 1)
    return np.asarray(np.nan_to_num(fall * bone * soft, nan=0.0))


def score_points(
    grid: Grid, points: Floats, directions: Profiles, steps: Floats
) -> tuple[Floats, Floats]:
    """Best score and its radius, (n,) each, over ``RADII_MM``.

    Score of a radius: mean over the rays of the best surface near it, less the share of the
    rays on which the bone ended before. A ray that leaves the volume counts as no surface.
    """
    span = max(1, round(4.0 / (steps[1] - steps[0])))
    at = (steps[:-span] + steps[span:]) / 2
    scores = np.full((len(points), len(RADII_MM)), -1.0)
    for start in range(0, len(points), CHUNK):
        part = slice(start, start + CHUNK)
        values = ray_values(grid, points[part], directions, steps)
        surface = surface_along(values, span)
        change = np.nan_to_num(np.abs(values[..., span:] - values[..., :-span]), nan=0.0)
        unlike = np.clip((change - STEADY_HU) / FULL_EDGE_HU, 0, 1)
        before = np.minimum(1, ENDS * np.cumsum(np.maximum(surface, unlike), axis=-1))
        known = np.isfinite(values[..., span:])
        for column, radius in enumerate(RADII_MM):
            near = np.abs(at - radius) <= 2.0
            last = max(0, int(np.searchsorted(at, radius - 5.0)) - 1)
            evidence = surface[:, :, near].max(axis=2) - before[:, :, last]
            rays = known[:, :, np.flatnonzero(near)[-1]]
            share = rays.mean(axis=1)
            mean = (evidence * rays).sum(axis=1) / np.maximum(1, rays.sum(axis=1))
            scores[part, column] = np.where(share < MIN_RAYS_INSIDE, -1, mean)
    best = scores.argmax(axis=1)
    return scores[np.arange(len(points)), best], RADII_MM[best]


def spread_out(points: Floats, scores: Floats) -> list[int]:
    """Indices of the best points that keep ``CANDIDATE_DISTANCE_MM`` from better ones."""
    kept: list[int] = []
    for i in np.argsort(-scores):
        if scores[i] <= 0 or len(kept) == CANDIDATES:
            break
        distances = np.linalg.norm(points[kept] - points[i], axis=1)
        if not kept or distances.min() >= CANDIDATE_DISTANCE_MM:
            kept.append(int(i))
    return kept


def climb(grid: Grid, ball: Ball) -> Ball:
    """Move a candidate to the best score nearby."""
    center = ball.center
    for _ in range(4):
        nearby = center + NUDGES
        scores, radii = score_points(grid, nearby, COARSE_DIRECTIONS, COARSE_STEPS)
        best = int(scores.argmax())
        center = nearby[best]
        if best == 0:
            break
    return Ball(center, float(radii[best]), float(scores[best]))
