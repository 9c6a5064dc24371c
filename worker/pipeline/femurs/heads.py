"""Candidate spheres for femoral heads: spheres of bone with an edge all around.

Rays go out from every point of bone-like density. In a femoral head the values along most rays
stay those of trabecular bone up to the surface, where they drop to cartilage, capsule or fat at
one common distance; only the rays into the neck continue. The edges of a vertebra, trochanter
or bladder do not lie at a common distance, and a cortical tube has edges inside.
"""

import math
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.femurs.grid import Grid, falling_ramp, ramp, sphere_directions

Floats = npt.NDArray[np.float64]
Profiles = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class HeadParameters:
    """Search for candidate spheres. ``(start, stop, step)`` are arguments of ``np.arange``."""

    # Points: blocks of that many grid voxels, so about 6 mm apart (cost).
    block_voxels: int = 3
    # Anatomy: neither cortex nor fat around a point in a head; trabecular bone of old heads is
    # no denser than muscle.
    interior_mean_hu: tuple[float, float] = (10.0, 700.0)
    interior_lowest_hu: float = -50.0
    # 0002: bone in 85 % of all directions, 22 mm away (cortex or the edge of the volume).
    shell_hu: int = 170
    shell_mm: float = 22.0
    min_shell_share: float = 0.85
    shell_directions: int = 26
    # Border of the block grid for look-ups: more than shell_mm in blocks of 6 mm.
    padding_blocks: int = 8
    # 0002: noise alone looks like bone everywhere; no patient needs as many.
    max_points: int = 5000
    # 0002: the 64 best; two spheres nearer than this are one candidate.
    max_candidates: int = 64
    candidate_distance_mm: float = 12.0

    # Anatomy: radii of adult femoral heads are 17–30 mm.
    radius_mm: tuple[float, float, float] = (18.0, 30.1, 1.0)
    # Rays and their samples, mm from the point (cost).
    ray_directions: int = 96
    ray_mm: tuple[float, float, float] = (4.0, 34.1, 2.0)
    # Edges are differences over this distance; those within the tolerance count for a radius,
    # those more than the margin inside it count against the radius.
    edge_span_mm: float = 4.0
    radius_tolerance_mm: float = 2.0
    inside_margin_mm: float = 5.0
    # Fall from bone to soft tissue that is full evidence; tuned.
    full_edge_hu: float = 200.0
    bone_hu: tuple[float, float] = (100.0, 180.0)
    soft_tissue_hu: tuple[float, float] = (100.0, 240.0)
    # Change along a ray beyond which it counts as an edge inside the sphere; tuned.
    steady_hu: float = 170.0
    # 0002: an edge inside the sphere counts a quarter: it may be a coarse trabecula, or noise.
    inner_edge_weight: float = 0.25
    # Share of the rays that must stay in the volume.
    min_rays_in_volume: float = 0.55
    # Points whose rays are evaluated at once (memory).
    chunk_points: int = 64

    # Hill climbing: step along each axis, and most steps.
    climb_step_mm: float = 3.0
    max_climb_steps: int = 4


PARAMETERS = HeadParameters()

RADII_MM = np.arange(*PARAMETERS.radius_mm)
RAY_DIRECTIONS = sphere_directions(PARAMETERS.ray_directions)
RAY_MM = np.arange(*PARAMETERS.ray_mm)
SHELL_DIRECTIONS = sphere_directions(PARAMETERS.shell_directions)
CLIMB_OFFSETS_MM = np.concatenate(
    [
        np.zeros((1, 3)),
        PARAMETERS.climb_step_mm * np.eye(3),
        -PARAMETERS.climb_step_mm * np.eye(3),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class SphereCandidate:
    """A sphere that may be a femoral head, grid mm.

    ``score`` : evidence of a surface all around, at most 1. ``roundness`` : 0–1, share of the
    rays (those into the neck excluded) that end at the radius; set by ``spheres.fit_sphere``.
    """

    center: Floats
    radius_mm: float
    score: float
    roundness: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class SphereCandidates:
    """All points of a volume that may lie inside a head.

    ``points`` : (n, 3) grid mm. ``scores``, ``radii_mm`` : (n,) best score and its radius.
    """

    points: Floats
    scores: Floats
    radii_mm: Floats

    def best(self, among: npt.NDArray[np.bool_] | None = None) -> tuple[SphereCandidate, ...]:
        """Return the best candidates of all points or of the mask ``among``, best first."""
        scores = self.scores if among is None else np.where(among, self.scores, 0.0)
        return tuple(
            SphereCandidate(self.points[i], float(self.radii_mm[i]), float(scores[i]))
            for i in spread_out(self.points, scores)
        )


def find_spheres(grid: Grid) -> SphereCandidates:
    """Score the spheres around all points of a volume that may lie inside a head."""
    points = bone_points(grid)
    return SphereCandidates(points, *score_points(grid, points))


def bone_points(grid: Grid) -> Floats:
    """Return (n, 3) grid mm, about 6 mm apart, that may lie inside a head.

    Neither cortex nor fat is around them, and bone lies in nearly every direction at the
    radius of a head. Trabecular bone is not required: in an old head it is no denser than
    muscle.
    """
    block = PARAMETERS.block_voxels
    shape = np.array(grid.hu.shape) // block
    if shape.min() < 1:
        return np.empty((0, 3))
    means, highest = grid.hu, grid.hu
    for axis, count in enumerate(shape.tolist()):
        means = _reduce_blocks(np.add, means, axis, count)
        highest = _reduce_blocks(np.maximum, highest, axis, count)
    means = means / np.float32(block**3)
    bone = ndimage.binary_dilation(highest > PARAMETERS.shell_hu, iterations=1)
    around = ndimage.uniform_filter(means, 3, mode="nearest")
    lowest = ndimage.minimum_filter(means, 3, mode="nearest")
    low, high = PARAMETERS.interior_mean_hu
    inside = (around > low) & (around < high) & (lowest > PARAMETERS.interior_lowest_hu)
    points = np.argwhere(inside)
    offsets = np.rint(PARAMETERS.shell_mm * SHELL_DIRECTIONS / (block * grid.voxel_mm))
    padding = PARAMETERS.padding_blocks
    padded = np.pad(bone, padding, constant_values=True)
    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    places = (points + padding) @ strides
    surrounded = np.zeros(len(points), int)
    for step in offsets.astype(int) @ strides:
        surrounded += padded.ravel()[places + step]
    chosen = points[surrounded >= PARAMETERS.min_shell_share * len(offsets)]
    chosen = chosen[:: math.ceil(len(chosen) / PARAMETERS.max_points) or 1]
    return np.asarray((chosen * block + (block - 1) / 2) * grid.voxel_mm)


def _reduce_blocks(function: np.ufunc, values: Profiles, axis: int, count: int) -> Profiles:
    """Return ``count`` blocks along an axis, reduced by a function of two arrays."""
    block = PARAMETERS.block_voxels
    before = (slice(None),) * axis
    reduced = values[(*before, slice(0, count * block, block))]
    for first in range(1, block):
        reduced = function(reduced, values[(*before, slice(first, count * block, block))])
    return reduced


def ray_values(grid: Grid, points: Floats, directions: Profiles, steps: Floats) -> Profiles:
    """Return (points, directions, steps) HU, NaN outside the volume.

    ``points`` : (n, 3) grid mm. ``directions`` : (d, 3). ``steps`` : (s,) mm.
    """
    # (directions, 1, xyz) * (1, steps, 1)
    rays = directions[:, None] * steps[None, :, None].astype(np.float32)
    if not (points % grid.voxel_mm).any():
        return grid.nearest_around(points, rays)
    # (points, 1, 1, xyz) + (directions, steps, xyz)
    return grid.nearest(points[:, None, None].astype(np.float32) + rays)


def surface_along(values: Profiles, span: int) -> Profiles:
    """Return the evidence, 0–1, that bone ends between step i and i + span.

    The fall of the values, where the inner one is that of bone and the outer one that of soft
    tissue. ``values`` : (…, steps). The result has ``span`` steps less.
    """
    inner, outer = values[..., :-span], values[..., span:]
    evidence = ramp(inner - outer, (0.0, PARAMETERS.full_edge_hu))
    evidence *= ramp(inner, PARAMETERS.bone_hu)
    evidence *= falling_ramp(outer, PARAMETERS.soft_tissue_hu)
    # NaN, where a value is unknown, becomes 0.
    return np.fmax(evidence, 0, out=evidence)


def score_points(grid: Grid, points: Floats) -> tuple[Floats, Floats]:
    """Return the (n,) best scores and their radii for (n, 3) grid mm, over ``RADII_MM``.

    The score of a radius is the mean over the rays of the best surface near it, less the share
    of the rays on which the bone ended before. A ray that leaves the volume has no surface.
    """
    span = max(1, round(PARAMETERS.edge_span_mm / (RAY_MM[1] - RAY_MM[0])))
    edges_mm = (RAY_MM[:-span] + RAY_MM[span:]) / 2
    scores = np.full((len(points), len(RADII_MM)), -1.0)
    for start in range(0, len(points), PARAMETERS.chunk_points):
        part = slice(start, start + PARAMETERS.chunk_points)
        # All of these: (points, rays, edges)
        values = ray_values(grid, points[part], RAY_DIRECTIONS, RAY_MM)
        surface = surface_along(values, span)
        change = np.abs(values[..., span:] - values[..., :-span])
        steady = PARAMETERS.steady_hu
        unsteady = ramp(change, (steady, steady + PARAMETERS.full_edge_hu))
        # Where the change is unknown, the surface alone counts.
        inner_edges = np.cumsum(np.fmax(surface, unsteady), axis=-1)
        before = np.minimum(1, PARAMETERS.inner_edge_weight * inner_edges)
        in_volume = np.isfinite(values[..., span:])
        for column, radius in enumerate(RADII_MM):
            near = np.flatnonzero(np.abs(edges_mm - radius) <= PARAMETERS.radius_tolerance_mm)
            inside_mm = radius - PARAMETERS.inside_margin_mm
            last = max(0, int(np.searchsorted(edges_mm, inside_mm)) - 1)
            # (points, rays)
            nearest = reduce(np.maximum, [surface[:, :, edge] for edge in near])
            evidence = nearest - before[:, :, last]
            rays = in_volume[:, :, near[-1]]
            share = rays.mean(axis=1)
            mean = (evidence * rays).sum(axis=1) / np.maximum(1, rays.sum(axis=1))
            scores[part, column] = np.where(share < PARAMETERS.min_rays_in_volume, -1, mean)
    best = scores.argmax(axis=1)
    return scores[np.arange(len(points)), best], RADII_MM[best]


def spread_out(points: Floats, scores: Floats) -> list[int]:
    """Return the indices of the best points, ``candidate_distance_mm`` or more apart."""
    kept: list[int] = []
    for i in np.argsort(-scores):
        if scores[i] <= 0 or len(kept) == PARAMETERS.max_candidates:
            break
        distances = np.linalg.norm(points[kept] - points[i], axis=1)
        if not kept or distances.min() >= PARAMETERS.candidate_distance_mm:
            kept.append(int(i))
    return kept


def hill_climb(grid: Grid, sphere: SphereCandidate) -> SphereCandidate:
    """Move a candidate step by step to the best score nearby."""
    center = sphere.center
    for _ in range(PARAMETERS.max_climb_steps):
        nearby = center + CLIMB_OFFSETS_MM
        scores, radii = score_points(grid, nearby)
        best = int(scores.argmax())
        center = nearby[best]
        if best == 0:
            break
    return SphereCandidate(center, float(radii[best]), float(scores[best]))
