"""Fit of a sphere to a femoral head, to a fraction of a voxel.

A second, larger shell lies around a head: the acetabulum. Where bone is thin, or the joint
space is lost, the two appear as one plate, and the clearest edge is that of the socket. Two
surfaces remain reliable: that of the head outside the socket, a belt on the side of the neck,
and the inner face of the plate on the side of the socket. Each ray counts the edges that it
meets *first*, and no edge is decided on before all rays agree on a sphere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import Floats32, Grid, falling_ramp, ramp, sphere_directions
from worker.pipeline.femurs.heads import Floats, SphereCandidate


@dataclass(frozen=True, slots=True)
class SphereFitParameters:
    """Fit of a sphere. ``(start, stop, step)`` are arguments of ``np.arange``."""

    # Rays of the final and of the rough fit (cost).
    directions: int = 240
    rough_directions: int = 120
    # Rays nearer to the neck's axis than 63° leave the head without a surface.
    neck_cosine: float = 0.45
    # 0002: the belt between neck and equator, which no socket covers, counts twice.
    free_cosine: float = -0.05
    free_weight: float = 2.0

    # Distances from the center at which an edge is looked for.
    step_mm: float = 0.5
    radius_mm: tuple[float, float] = (13.0, 34.1)
    # Steps between the two values of an edge, 3 mm.
    span_steps: int = 6
    # Range of the values from which edges are computed; tuned.
    lowest_hu: int = -50
    highest_hu: int = 1000
    # 0034: the surface continues from ray to ray, coarse trabeculae do not. Rays nearer than
    # this are averaged: without, their texture hid thin subchondral plates.
    smoothing_deg: float = 26.0
    # Evidence of an edge; tuned on thin bone and lost joint spaces.
    clear_edge_hu: float = 160.0
    bone_hu: tuple[float, float] = (80.0, 160.0)
    soft_tissue_hu: tuple[float, float] = (200.0, 300.0)
    most_certain: float = 0.9
    # 0002: the inner face of the plate under the cartilage; the head ends 1.5 mm outside it.
    inner_face_weight: float = 0.2
    plate_steps: int = 3

    # 0002: fits start from two radii; windows around the last sphere (SD of the weight)
    # become narrower fit after fit.
    start_radii_mm: tuple[float, float] = (20.0, 24.0)
    spreads_mm: tuple[float, ...] = (4.0, 3.0, 2.2, 1.6, 1.3, 1.3)
    rough_spreads_mm: tuple[float, ...] = (4.0, 2.5, 1.6)
    # Starts that meet this near after the wide windows have one fit (cost).
    same_start_mm: float = 1.0
    surface_spread_mm: float = 1.5
    max_step_mm: float = 4.0
    # Keeps the center where the rays do not determine it (numerical).
    damping: float = 0.02
    min_rays: int = 40
    # Anatomy: radii beyond the adult range are clipped.
    fitted_radius_mm: tuple[float, float] = (16.5, 31.0)
    # Anatomy: radii of adult femoral heads, women and men together, mean and SD.
    usual_radius_mm: float = 23.0
    usual_radius_sd_mm: float = 3.0

    # 0034: trabecular bone is uneven, a pool of contrast medium is not. Samples inside the
    # head, in radii; their spread as a share of their mean, of which less than the second is no
    # denser than muscle: 0.33–1.4 in heads, 0.07–0.11 in a heart full of contrast medium.
    interior_radii: tuple[float, ...] = (0.2, 0.4, 0.5, 0.6, 0.65, 0.7)
    least_mean_hu: float = 100.0
    spread_percentiles: tuple[float, float] = (10.0, 90.0)
    uneven_share: tuple[float, float] = (0.10, 0.18)


PARAMETERS = SphereFitParameters()

DIRECTIONS = sphere_directions(PARAMETERS.directions).astype(np.float64)
ROUGH_DIRECTIONS = sphere_directions(PARAMETERS.rough_directions).astype(np.float64)
RADII_MM = np.arange(*PARAMETERS.radius_mm, PARAMETERS.step_mm)
SAMPLES_MM = np.arange(
    RADII_MM[0] - PARAMETERS.span_steps / 2 * PARAMETERS.step_mm,
    RADII_MM[-1] + PARAMETERS.span_steps / 2 * PARAMETERS.step_mm + 0.01,
    PARAMETERS.step_mm,
)
# Normal distribution: SD = 1.48 × median absolute deviation.
MAD_TO_SD = 1.48
SMOOTHING_COSINE = math.cos(math.radians(PARAMETERS.smoothing_deg))


@dataclass(frozen=True, slots=True, eq=False)
class _Rays:
    """Rays out of a head that are not directed into its neck.

    ``directions`` : (n, 3) unit vectors. ``free`` : (n,) whether no socket covers the surface.
    ``neighbors`` : (n, n) weights of the rays in the mean over those around each.
    """

    directions: Floats
    free: npt.NDArray[np.bool_]
    neighbors: npt.NDArray[np.float32]

    @property
    def weights(self) -> Floats:
        """(n,) weight of each ray."""
        return np.where(self.free, PARAMETERS.free_weight, 1.0)


def fit_sphere(grid: Grid, sphere: SphereCandidate, neck_axis: Floats) -> SphereCandidate:
    """Fit from several radii and return the fit with the clearest surface and a usual size.

    ``roundness`` of the result is how clearly its surface is seen, 0–1.
    """
    few, rays = _rays(ROUGH_DIRECTIONS, neck_axis), _rays(DIRECTIONS, neck_axis)
    wide, narrow = PARAMETERS.spreads_mm[:3], PARAMETERS.spreads_mm[3:]
    small, large = (_fit(grid, sphere, r, few, wide) for r in PARAMETERS.start_radii_mm)
    away_mm = np.linalg.norm(large.center - small.center) + abs(
        large.radius_mm - small.radius_mm
    )
    starts = (small,) if away_mm < PARAMETERS.same_start_mm else (small, large)
    fits = [
        _with_roundness(grid, _fit(grid, start, start.radius_mm, rays, narrow), rays)
        for start in starts
    ]
    return max(fits, key=lambda fit: fit.roundness * usualness(fit.radius_mm))


def fit_roughly(grid: Grid, sphere: SphereCandidate, neck_axis: Floats) -> SphereCandidate:
    """Fit from the radius of the candidate, with fewer rays and steps."""
    rays = _rays(ROUGH_DIRECTIONS, neck_axis)
    fit = _fit(grid, sphere, sphere.radius_mm, rays, PARAMETERS.rough_spreads_mm)
    return _with_roundness(grid, fit, rays)


def unevenness(grid: Grid, sphere: SphereCandidate) -> float:
    """Return whether the values inside a sphere vary as those of trabecular bone do, 0–1.

    Blood, urine and bowel contents are even, whatever contrast medium they hold.
    """
    steps_mm = np.array(PARAMETERS.interior_radii) * sphere.radius_mm
    # (rays, 1, xyz) * (1, samples, 1)
    points = sphere.center + ROUGH_DIRECTIONS[:, None] * steps_mm[None, :, None]
    values = grid.interpolate(points)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0
    low, high = np.percentile(values, PARAMETERS.spread_percentiles)
    share = (high - low) / max(PARAMETERS.least_mean_hu, float(values.mean()))
    return float(ramp(share, PARAMETERS.uneven_share))


def _rays(directions: Floats, neck_axis: Floats) -> _Rays:
    cosines = directions @ neck_axis
    chosen = cosines < PARAMETERS.neck_cosine
    kept = directions[chosen]
    near = np.maximum(0, (kept @ kept.T - SMOOTHING_COSINE) / (1 - SMOOTHING_COSINE))
    neighbors = (near / near.sum(axis=1, keepdims=True)).astype(np.float32)
    return _Rays(kept, cosines[chosen] > PARAMETERS.free_cosine, neighbors)


def usualness(radius_mm: float) -> float:
    """Return how near a radius is to that of most heads, 0–1."""
    deviation = (radius_mm - PARAMETERS.usual_radius_mm) / PARAMETERS.usual_radius_sd_mm
    return math.exp(-(deviation**2) / 2)


def _fit(
    grid: Grid,
    sphere: SphereCandidate,
    radius: float,
    rays: _Rays,
    spreads_mm: Sequence[float],
) -> SphereCandidate:
    """Fit by weighted least squares on the edges near the sphere, in narrowing windows."""
    center = sphere.center
    # A shift of the center by s and a growth by g move the edge of ray r by r·s + g.
    design = np.column_stack([rays.directions, np.ones(len(rays.directions))])
    damping = np.diag([PARAMETERS.damping, PARAMETERS.damping, PARAMETERS.damping, 0.0])
    for spread in spreads_mm:
        evidence, _ = first_edges(grid, center, rays)
        weights = evidence * np.exp(-(((RADII_MM - radius) / spread) ** 2) / 2)
        total = weights.sum(axis=1)
        if (total > 1e-3).sum() < PARAMETERS.min_rays:
            return SphereCandidate(center, radius, sphere.score)
        edge = weights @ RADII_MM / np.maximum(total, 1e-9)
        normal = design.T @ (design * total[:, None]) + damping * total.sum()
        *step, radius = np.linalg.solve(normal, design.T @ (total * edge))
        length = float(np.linalg.norm(step))
        limit = min(1.0, PARAMETERS.max_step_mm / max(length, 1e-9))
        center = center + np.array(step) * limit
        radius = float(np.clip(radius, *PARAMETERS.fitted_radius_mm))
    return SphereCandidate(center, radius, sphere.score)


def _smooth(values: Floats32, rays: _Rays) -> Floats32:
    """Return the mean of (rays, samples) over neighboring rays, NaN where unknown."""
    known = np.isfinite(values)
    if known.all():
        return np.asarray(rays.neighbors @ values)
    total = np.maximum(rays.neighbors @ known.astype(np.float32), np.float32(1e-9))
    mean = (rays.neighbors @ np.where(known, values, np.float32(0))) / total
    return np.asarray(np.where(known, mean, np.float32(np.nan)))


def _with_roundness(grid: Grid, sphere: SphereCandidate, rays: _Rays) -> SphereCandidate:
    """Return the sphere with the share of its surface that is seen; 0 with too few rays."""
    center, radius = sphere.center, sphere.radius_mm
    evidence, in_volume = first_edges(grid, center, rays)
    spread = PARAMETERS.surface_spread_mm
    near = evidence * np.exp(-(((RADII_MM - radius) / spread) ** 2) / 2)
    inside = in_volume[:, int(np.abs(RADII_MM - radius).argmin())]
    if inside.sum() < PARAMETERS.min_rays:
        return sphere
    seen = near.max(axis=1)[inside].sum() / rays.weights[inside].sum()
    return SphereCandidate(center, radius, sphere.score, float(seen))


def first_edges(
    grid: Grid, center: Floats, rays: _Rays
) -> tuple[Floats32, npt.NDArray[np.bool_]]:
    """Return the evidence that the head ends at each radius, and whether it is in the volume.

    Both are (rays, radii). Evidence is bone that falls to soft tissue, and in the socket also
    the rise to the plate, each discounted by the edges that the ray met before.
    """
    span = PARAMETERS.span_steps
    # (rays, 1, xyz) * (1, samples, 1)
    points = center + rays.directions[:, None] * SAMPLES_MM[None, :, None]
    values = grid.interpolate_volume(points)
    np.clip(values, PARAMETERS.lowest_hu, PARAMETERS.highest_hu, out=values)
    values = _smooth(values, rays)
    # From here on (rays, radii).
    inner, outer = values[:, :-span], values[:, span:]
    fall = inner - outer
    in_volume = np.isfinite(fall)
    if not in_volume.any():
        return np.zeros_like(fall), in_volume
    noise = np.float32(MAD_TO_SD * np.nanmedian(np.abs(fall[:, :span])))
    bone = ramp(inner, PARAMETERS.bone_hu)
    soft = falling_ramp(outer, PARAMETERS.soft_tissue_hu)
    clear_hu, most = PARAMETERS.clear_edge_hu, PARAMETERS.most_certain
    edge = np.clip((fall - noise) / clear_hu, 0, most) * bone * soft
    plate, socket = PARAMETERS.plate_steps, ~rays.free
    rise = np.clip((-fall[socket, :-plate] - noise) / clear_hu, 0, most)
    edge[~in_volume] = 0
    edge[socket, plate:] += PARAMETERS.inner_face_weight * np.nan_to_num(rise)
    np.minimum(edge, most, out=edge)
    passed = np.cumprod(1 - edge / 2, axis=1)
    edge[:, 1:] *= passed[:, :-1]
    return edge * rays.weights.astype(np.float32)[:, None], in_volume
