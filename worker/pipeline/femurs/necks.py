"""Search for the neck of a sphere: a narrower rod of bone that leaves it laterally.

A vertebra, a condyle or a bladder has none, which distinguishes them from a femoral head. The
side to which the neck points is the side of the hip.

Axes are (posterior, down, left), those of the grid. The axis of a neck runs laterally and down,
a little backward with a straight thigh and forward with a flexed one. The upper branch of the
pubis, another rod beside a head, runs forward and hardly down.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import Grid, sphere_directions
from worker.pipeline.femurs.heads import Floats, SphereCandidate, ray_values, surface_along
from worker.pipeline.volume import AIR_HU


@dataclass(frozen=True, slots=True)
class NeckParameters:
    """Search for the neck. ``(start, stop, step)`` are arguments of ``np.arange``."""

    # Anatomy: components of an axis that a neck may have, see above.
    lateral: tuple[float, float] = (0.38, 0.95)
    down: tuple[float, float] = (0.25, 0.90)
    min_backward: float = -0.60
    # Anatomy: a thigh at rest, or flexed about the line through both heads; SD tuned.
    usual_lateral: float = 0.67
    usual_down: float = 0.67
    usual_sd: float = 0.25
    # Directions of ``find_neck`` and ``quick_score`` (cost).
    directions: int = 500
    quick_directions: int = 150
    # Tilts (tangent) of the axes tried around the best one, in turn.
    refinements: tuple[float, ...] = (0.25, 0.13, 0.07)

    # Opening: rays within 22° of the axis that meet no surface in this range about the radius.
    opening_cosine: float = 0.93
    surface_inside_mm: float = 5.0
    surface_outside_mm: float = 6.0
    surface_step_mm: float = 1.0
    surface_span_steps: int = 4

    # 0002: bone just beyond the sphere, away from the axis, is the acetabulum.
    socket_hu: int = 200
    socket_mm: tuple[float, float, float] = (2.0, 14.1, 1.5)
    socket_cosine: float = -0.25
    min_socket_in_volume: float = 0.2

    # Rod: a thinner one is a branch of the pubis or a rib, a wider one is no neck.
    min_rod_mm: float = 9.0
    max_rod_radii: float = 0.95
    azimuths: int = 12
    width_mm: tuple[float, float, float] = (4.0, 26.1, 2.0)
    beyond_head_mm: tuple[float, float, float] = (0.0, 12.1, 3.0)
    rod_span_steps: int = 2

    # Outlines of the neck across its axis.
    outline_azimuths: int = 24
    outline_width_mm: tuple[float, float, float] = (3.0, 30.1, 1.0)
    outline_span_steps: int = 3
    max_outline_radii: float = 1.1
    clear_edge: float = 0.2
    min_outline: float = 0.5
    # Narrowest place: nearer to the head its surface would be taken for that of the neck.
    narrowest_mm: tuple[float, float, float] = (5.0, 16.1, 1.0)
    usual_narrowest_mm: float = 8.0

    # 0002: sections beyond the head, two beside it and three toward the trochanter. The ratio
    # of their mean widths is 1.0–1.3 in true necks, 0.7–0.9 in a rod that ends as a neck.
    flare_mm: tuple[float, ...] = (0.0, 3.0, 9.0, 12.0, 15.0)
    flare_near: tuple[int, ...] = (0, 1)
    flare_far: tuple[int, ...] = (2, 3, 4)
    flare_ratio: tuple[float, float] = (0.65, 1.0)


PARAMETERS = NeckParameters()

DIRECTIONS = sphere_directions(PARAMETERS.directions)
QUICK_DIRECTIONS = sphere_directions(PARAMETERS.quick_directions)
SOCKET_MM = np.arange(*PARAMETERS.socket_mm)
WIDTHS_MM = np.arange(*PARAMETERS.width_mm)
BEYOND_HEAD_MM = np.arange(*PARAMETERS.beyond_head_mm)
OUTLINE_WIDTHS_MM = np.arange(*PARAMETERS.outline_width_mm)
NARROWEST_MM = np.arange(*PARAMETERS.narrowest_mm)
FLARE_MM = np.array(PARAMETERS.flare_mm)


@dataclass(frozen=True, slots=True, eq=False)
class Neck:
    """The neck of a sphere.

    ``axis`` : (3,) unit vector away from the head. ``score`` : how clearly it is seen, 0–1.
    """

    axis: Floats
    score: float


def quick_score(grid: Grid, sphere: SphereCandidate) -> Neck:
    """Find the neck among few directions, which suffices to order many spheres."""
    axes = QUICK_DIRECTIONS[allowed(QUICK_DIRECTIONS)].astype(np.float64)
    closed, covered = surface_evidence(grid, sphere), bone_beyond(grid, sphere)
    scores = axis_scores(grid, sphere, closed, covered, axes)
    return Neck(axes[int(scores.argmax())], float(scores.max()))


def find_neck(grid: Grid, sphere: SphereCandidate, side: float = 0.0) -> Neck:
    """Find the direction in which a rod of bone leaves the sphere without a surface.

    ``side`` : 1 searches to the patient's left only, −1 to the right, 0 to both.
    """
    closed, covered = surface_evidence(grid, sphere), bone_beyond(grid, sphere)
    axes = QUICK_DIRECTIONS[allowed(QUICK_DIRECTIONS, side)].astype(np.float64)
    scores = axis_scores(grid, sphere, closed, covered, axes)
    for tilt in PARAMETERS.refinements:
        axes = tilted_axes(axes[int(scores.argmax())], tilt, PARAMETERS.azimuths)
        axes = axes[allowed(axes, side)]
        scores = axis_scores(grid, sphere, closed, covered, axes)
    return Neck(axes[int(scores.argmax())], float(scores.max()))


def allowed(axes: npt.NDArray[np.floating], side: float = 0.0) -> npt.NDArray[np.bool_]:
    """Return the (n,) mask of axes that a neck may have, to one ``side`` or to both (0)."""
    backward, down, left = axes.T
    sideways = left * side if side else np.abs(left)
    min_lateral, max_lateral = PARAMETERS.lateral
    min_down, max_down = PARAMETERS.down
    lateral = (sideways >= min_lateral) & (sideways <= max_lateral)
    downward = (down >= min_down) & (down <= max_down)
    return np.asarray(lateral & downward & (backward >= PARAMETERS.min_backward))


def axis_scores(
    grid: Grid, sphere: SphereCandidate, closed: Floats, covered: Floats, axes: Floats
) -> Floats:
    """Return the (n,) scores of axes as those of a neck.

    Product of: a rod, an opening of the sphere, a usual direction, a socket opposite.
    ``closed`` : ``surface_evidence``. ``covered`` : ``bone_beyond``.
    """
    rods = rod_scores(grid, sphere, axes)
    return rods * openness(closed, axes) * usualness(axes) * socket_share(covered, axes)


def usualness(axes: Floats) -> Floats:
    """Return how near (n, 3) axes are to that of a thigh at rest or flexed, (n,) 0–1.

    A flexed thigh is turned forward about the line through both heads.
    """
    downward = np.hypot(axes[:, 1], np.minimum(axes[:, 0], 0))
    down = (downward - PARAMETERS.usual_down) / PARAMETERS.usual_sd
    lateral = (np.abs(axes[:, 2]) - PARAMETERS.usual_lateral) / PARAMETERS.usual_sd
    return np.asarray(np.exp(-(down**2 + lateral**2) / 2))


def surface_evidence(grid: Grid, sphere: SphereCandidate) -> Floats:
    """Return the evidence, 0–1, in each of ``DIRECTIONS`` that bone ends at the radius."""
    steps = np.arange(
        sphere.radius_mm - PARAMETERS.surface_inside_mm,
        sphere.radius_mm + PARAMETERS.surface_outside_mm + 2,
        PARAMETERS.surface_step_mm,
    )
    values = ray_values(grid, sphere.center[None], DIRECTIONS, steps)[0]
    surface = surface_along(values, PARAMETERS.surface_span_steps)
    return np.asarray(surface.max(axis=1), np.float64)


def openness(closed: Floats, axes: Floats) -> Floats:
    """Return the (n,) shares of the rays near each axis that meet no surface."""
    # (axes, directions)
    near = axes @ DIRECTIONS.T > PARAMETERS.opening_cosine
    return np.asarray(1 - (near * closed).sum(axis=1) / np.maximum(1, near.sum(axis=1)))


def bone_beyond(grid: Grid, sphere: SphereCandidate) -> Floats:
    """Return for each of ``DIRECTIONS`` whether bone lies just beyond the sphere.

    1 with bone, 0 without, NaN outside the volume.
    """
    values = ray_values(grid, sphere.center[None], DIRECTIONS, sphere.radius_mm + SOCKET_MM)[0]
    unknown = ~np.isfinite(values[:, : len(SOCKET_MM) // 2]).all(axis=1)
    bone = np.nan_to_num(values, nan=AIR_HU).max(axis=1) > PARAMETERS.socket_hu
    return np.where(unknown, np.nan, bone)


def socket_share(covered: Floats, axes: Floats) -> Floats:
    """Return the (n,) shares of the directions away from each axis with bone beyond.

    That bone is the acetabulum, which a trochanter, a condyle or a shaft does not have.
    """
    # (axes, directions)
    away = axes @ DIRECTIONS.T < PARAMETERS.socket_cosine
    known = away & np.isfinite(covered)
    share = (known * np.nan_to_num(covered)).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    enough = known.sum(axis=1) >= PARAMETERS.min_socket_in_volume * away.sum(axis=1)
    return np.asarray(np.where(enough, share, 0.0))


def rod_scores(grid: Grid, sphere: SphereCandidate, axes: Floats) -> Floats:
    """Return the (n,) mean evidence of a surface around each axis, narrower than the head."""
    # (axes, 1, xyz) * (1, sections, 1)
    reach_mm = (sphere.radius_mm + BEYOND_HEAD_MM).astype(np.float32)
    centers = sphere.center.astype(np.float32) + (
        axes.astype(np.float32)[:, None] * reach_mm[None, :, None]
    )
    around = azimuths(axes, PARAMETERS.azimuths).astype(np.float32)
    # (axes, azimuths, 1, xyz) * (1, 1, widths, 1)
    rays = around[:, :, None] * WIDTHS_MM.astype(np.float32)[None, None, :, None]
    # (axes, sections, 1, 1, xyz) + (axes, 1, azimuths, widths, xyz)
    points = centers[:, :, None, None] + rays[:, None]
    span = PARAMETERS.rod_span_steps
    surface = surface_along(grid.nearest(points), span)
    edges_mm = (WIDTHS_MM[:-span] + WIDTHS_MM[span:]) / 2
    min_mm, max_mm = PARAMETERS.min_rod_mm, PARAMETERS.max_rod_radii * sphere.radius_mm
    fits = (edges_mm >= min_mm) & (edges_mm <= max_mm)
    # (axes, sections, azimuths)
    thinner = surface[..., edges_mm < min_mm].max(axis=-1)
    seen = np.clip(surface[..., fits].max(axis=-1) - thinner, 0, 1)
    return np.asarray(seen.mean(axis=(1, 2)))


def narrowest(grid: Grid, sphere: SphereCandidate, axis: Floats) -> Floats:
    """Return the center, (3,) grid mm, of the outline of the neck where it is narrowest.

    Where no section shows half of its outline, a point at a usual distance on the axis.
    """
    centers = sphere.center + axis * (sphere.radius_mm + NARROWEST_MM)[:, None]
    around, reach, clear = outlines(grid, sphere, centers, axis)
    outlined = np.flatnonzero(clear.mean(axis=1) >= PARAMETERS.min_outline)
    if not outlined.size:
        usual_mm = PARAMETERS.usual_narrowest_mm
        return np.asarray(sphere.center + axis * (sphere.radius_mm + usual_mm))
    medians = [float(np.median(reach[i, clear[i]])) for i in outlined]
    best = int(outlined[int(np.argmin(medians))])
    reach = np.where(clear[best], reach[best], min(medians))
    return np.asarray(centers[best] + (around * reach[:, None]).mean(axis=0))


def flare(grid: Grid, sphere: SphereCandidate, axis: Floats) -> float:
    """Return whether a neck is no narrower near the trochanter than near the head, 0–1.

    The rod of a sphere made of the roof of the socket and the upper part of the head is the
    rest of the head and then the neck, which narrows all the way. 1 where too little is seen.
    """
    centers = sphere.center + axis * (sphere.radius_mm + FLARE_MM)[:, None]
    _, reach, clear = outlines(grid, sphere, centers, axis)
    seen = clear.mean(axis=1) >= PARAMETERS.min_outline
    near, far = (
        [np.median(reach[i, clear[i]]) for i in sections if seen[i]]
        for sections in (PARAMETERS.flare_near, PARAMETERS.flare_far)
    )
    if not near or not far:
        return 1.0
    low, high = PARAMETERS.flare_ratio
    return float(np.clip((np.mean(far) / np.mean(near) - low) / (high - low), 0, 1))


def outlines(
    grid: Grid, sphere: SphereCandidate, centers: Floats, axis: Floats
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return directions across an axis, and the surface along them from (n, 3) centers.

    (azimuths, 3) unit vectors; (n, azimuths) mm to the surface; (n, azimuths) whether it is
    clear.
    """
    around = azimuths(axis[None], PARAMETERS.outline_azimuths)[0]
    # (azimuths, 1, xyz) * (1, widths, 1)
    rays = around[:, None] * OUTLINE_WIDTHS_MM[None, :, None]
    span = PARAMETERS.outline_span_steps
    # (n, 1, 1, xyz) + (azimuths, widths, xyz)
    surface = surface_along(grid.interpolate(centers[:, None, None] + rays), span)
    edges_mm = (OUTLINE_WIDTHS_MM[:-span] + OUTLINE_WIDTHS_MM[span:]) / 2
    surface = surface * (edges_mm <= PARAMETERS.max_outline_radii * sphere.radius_mm)
    clear = surface.max(axis=-1) > PARAMETERS.clear_edge
    return around, edges_mm[surface.argmax(axis=-1)], clear


def azimuths(axes: Floats, count: int) -> Floats:
    """Return (n, count, 3) unit vectors around (n, 3) axes, at right angles to them."""
    first = np.cross(axes, np.array([1.0, 0.0, 0.0]))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(axes, first)
    angles = np.arange(count) * (2 * np.pi / count)
    # (1, azimuths, 1)
    cosine, sine = np.cos(angles)[None, :, None], np.sin(angles)[None, :, None]
    # (axes, 1, xyz) * (1, azimuths, 1)
    return np.asarray(first[:, None] * cosine + second[:, None] * sine)


def tilted_axes(axis: Floats, tilt: float, count: int) -> Floats:
    """Return (count + 1, 3) unit vectors: an axis and others tilted by a tangent around it."""
    tilted = axis + tilt * azimuths(axis[None], count)[0]
    axes = np.vstack([axis[None], tilted])
    return np.asarray(axes / np.linalg.norm(axes, axis=1, keepdims=True))
