"""The neck of a ball: a narrower rod of bone that leaves it laterally.

A vertebra, a condyle or a bladder has none, which tells them from a femoral head, and the
side that it points to is the side of the hip.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import Grid, sphere_directions
from worker.pipeline.femurs.heads import Ball, Floats, ray_values, surface_along

# Grid axes are (posterior, down, left). The axis of a neck runs laterally and down, a little
# backward with the thigh straight and forward with the thigh flexed. The upper branch of the
# pubis, another rod beside a head, runs forward and hardly down.
LATERAL = (0.38, 0.95)
DOWN = (0.25, 0.90)
MIN_BACKWARD = -0.60
USUAL_LATERAL, USUAL_DOWN, SPREAD = 0.67, 0.67, 0.25
DIRECTIONS = sphere_directions(500)
FEW_DIRECTIONS = sphere_directions(150)
REFINEMENTS = (0.15, 0.07)
EXIT_COSINE = 0.93
EXIT_MM = (5.0, 6.0)
SOCKET_HU = 200
SOCKET_MM = np.arange(2.0, 14.1, 1.5)
SOCKET_COSINE = -0.25
MIN_KNOWN = 0.2
# A rod thinner than this is a branch of the pubis or a rib.
ROD_MM = 9.0
AZIMUTHS = 12
WIDTHS_MM = np.arange(4.0, 26.1, 2.0)
BEYOND_HEAD_MM = np.arange(0.0, 12.1, 3.0)

FINE_AZIMUTHS = 24
FINE_WIDTHS_MM = np.arange(3.0, 30.1, 1.0)
# Nearer to the head its surface would be taken for that of the neck.
ALONG_MM = np.arange(5.0, 16.1, 1.0)
USUAL_MM = 8.0
WIDEST_SHARE = 1.1
CLEAR_EDGE = 0.2
MIN_OUTLINE = 0.5
# Beyond the head: two sections beside it, three toward the trochanter. Their mean widths are
# 1.0–1.3 to 1 in true necks, 0.7–0.9 in a rod that ends as a neck (docs/decisions/0002).
FLARE_MM = np.array([0.0, 3.0, 9.0, 12.0, 15.0])
FLARE_PARTS = ((0, 1), (2, 3, 4))
FLARE = (0.65, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Neck:
    """Unit axis of a neck, away from the head, and how well it is seen, 0–1."""

    axis: Floats
    score: float


def glance(grid: Grid, ball: Ball) -> Neck:
    """``find_neck`` among few directions: enough to order many balls."""
    axes = FEW_DIRECTIONS[allowed(FEW_DIRECTIONS)].astype(np.float64)
    closed, covered = surface_of(grid, ball), bone_beyond(grid, ball)
    scores = axis_scores(grid, ball, closed, covered, axes)
    return Neck(axes[int(scores.argmax())], float(scores.max()))


def find_neck(grid: Grid, ball: Ball, side: float = 0.0) -> Neck:
    """The direction in which bone leaves the ball without a surface, as a rod.

    ``side`` : 1 looks to the patient's left only, −1 to the right, 0 to both.
    """
    closed, covered = surface_of(grid, ball), bone_beyond(grid, ball)
    axes = DIRECTIONS[allowed(DIRECTIONS, side)].astype(np.float64)
    scores = axis_scores(grid, ball, closed, covered, axes)
    for spread in REFINEMENTS:
        axes = _around(axes[int(scores.argmax())], spread)
        axes = axes[allowed(axes, side)]
        scores = axis_scores(grid, ball, closed, covered, axes)
    return Neck(axes[int(scores.argmax())], float(scores.max()))


def allowed(axes: npt.NDArray[np.floating], side: float = 0.0) -> npt.NDArray[np.bool_]:
    """(n,) whether each axis may be that of a neck, to one ``side`` or to both (0)."""
    backward, down, left = axes.T
    sideways = left * side if side else np.abs(left)
    lateral = (sideways >= LATERAL[0]) & (sideways <= LATERAL[1])
    return np.asarray(
        lateral & (down >= DOWN[0]) & (down <= DOWN[1]) & (backward >= MIN_BACKWARD)
    )


def axis_scores(
    grid: Grid, ball: Ball, closed: Floats, covered: Floats, axes: Floats
) -> Floats:
    """(n,) how much each axis looks like a neck's: a rod, open to the ball, usual, and away
    from a socket."""
    rods = rod_scores(grid, ball, axes)
    return rods * openness(closed, axes) * usualness(axes) * socket(covered, axes)


def usualness(axes: Floats) -> Floats:
    """(n,) 0–1, how near each axis is to that of a thigh at rest or flexed: one that is
    turned forward about the line through both heads."""
    downward = np.hypot(axes[:, 1], np.minimum(axes[:, 0], 0))
    down = (downward - USUAL_DOWN) / SPREAD
    lateral = (np.abs(axes[:, 2]) - USUAL_LATERAL) / SPREAD
    return np.asarray(np.exp(-(down**2 + lateral**2) / 2))


def surface_of(grid: Grid, ball: Ball) -> Floats:
    """Evidence (0–1) in each of ``DIRECTIONS`` that the bone ends at the ball's radius."""
    steps = np.arange(ball.radius_mm - EXIT_MM[0], ball.radius_mm + EXIT_MM[1] + 2, 1.0)
    values = ray_values(grid, ball.center[None], DIRECTIONS, steps)[0]
    return np.asarray(surface_along(values, 4).max(axis=1), np.float64)


def openness(closed: Floats, axes: Floats) -> Floats:
    """(n,) share of the rays near each axis that meet no surface of the ball."""
    near = axes @ DIRECTIONS.T > EXIT_COSINE
    return np.asarray(1 - (near * closed).sum(axis=1) / np.maximum(1, near.sum(axis=1)))


def bone_beyond(grid: Grid, ball: Ball) -> Floats:
    """1 in each of ``DIRECTIONS`` in which bone lies just beyond the ball, 0 where none does,
    NaN outside of the volume."""
    values = ray_values(grid, ball.center[None], DIRECTIONS, ball.radius_mm + SOCKET_MM)[0]
    unknown = ~np.isfinite(values[:, : len(SOCKET_MM) // 2]).all(axis=1)
    bone = np.nan_to_num(values, nan=-1024).max(axis=1) > SOCKET_HU
    return np.where(unknown, np.nan, bone)


def socket(covered: Floats, axes: Floats) -> Floats:
    """(n,) share of the directions away from each axis with bone beyond the ball: the
    acetabulum, which a trochanter, a condyle or a shaft does not have."""
    away = axes @ DIRECTIONS.T < SOCKET_COSINE
    known = away & np.isfinite(covered)
    share = (known * np.nan_to_num(covered)).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    return np.asarray(np.where(known.sum(axis=1) >= MIN_KNOWN * away.sum(axis=1), share, 0.0))


def rod_scores(grid: Grid, ball: Ball, axes: Floats) -> Floats:
    """(n,) mean evidence of a surface around each axis, narrower than the head."""
    centers = ball.center + axes[:, None] * (ball.radius_mm + BEYOND_HEAD_MM)[None, :, None]
    around = azimuths(axes, AZIMUTHS)
    rays = around[:, :, None] * WIDTHS_MM[None, None, :, None]
    points = centers[:, :, None, None] + rays[:, None]
    surface = surface_along(grid.nearest(points.astype(np.float32)), 2)
    at = (WIDTHS_MM[:-2] + WIDTHS_MM[2:]) / 2
    fits = (at >= ROD_MM) & (at <= 0.95 * ball.radius_mm)
    ended = surface[..., at < ROD_MM].max(axis=-1)
    seen = np.clip(surface[..., fits].max(axis=-1) - ended, 0, 1)
    return np.asarray(seen.mean(axis=(1, 2)))


def narrowest(grid: Grid, ball: Ball, axis: Floats) -> Floats:
    """(3,) grid mm, the centre of the outline of the neck where it is narrowest.

    Where no section shows half of its outline, a usual distance along the axis.
    """
    centers = ball.center + axis * (ball.radius_mm + ALONG_MM)[:, None]
    around, reach, clear = outlines(grid, ball, centers, axis)
    outlined = np.flatnonzero(clear.mean(axis=1) >= MIN_OUTLINE)
    if not outlined.size:
        return np.asarray(ball.center + axis * (ball.radius_mm + USUAL_MM))
    medians = [float(np.median(reach[i, clear[i]])) for i in outlined]
    best = int(outlined[int(np.argmin(medians))])
    reach = np.where(clear[best], reach[best], min(medians))
    return np.asarray(centers[best] + (around * reach[:, None]).mean(axis=0))


def flare(grid: Grid, ball: Ball, axis: Floats) -> float:
    """0–1, whether a neck is no narrower toward the trochanter than where it leaves the head.

    A ball of the socket's roof and the upper part of the head has the rest of the head and
    then the neck for its rod, which narrows all the way. 1 where too little is seen.
    """
    centers = ball.center + axis * (ball.radius_mm + FLARE_MM)[:, None]
    _, reach, clear = outlines(grid, ball, centers, axis)
    seen = clear.mean(axis=1) >= MIN_OUTLINE
    near, far = (
        [np.median(reach[i, clear[i]]) for i in part if seen[i]] for part in FLARE_PARTS
    )
    if not near or not far:
        return 1.0
    low, high = FLARE
    return float(np.clip((np.mean(far) / np.mean(near) - low) / (high - low), 0, 1))


def outlines(
    grid: Grid, ball: Ball, centers: Floats, axis: Floats
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """(a, 3) directions across an axis; from (n, 3) centres (n, a) mm to the surface, and
    whether it is clear."""
    around = azimuths(axis[None], FINE_AZIMUTHS)[0]
    rays = around[:, None] * FINE_WIDTHS_MM[None, :, None]
    surface = surface_along(grid.interpolate(centers[:, None, None] + rays), 3)
    at = (FINE_WIDTHS_MM[:-3] + FINE_WIDTHS_MM[3:]) / 2
    surface = surface * (at <= WIDEST_SHARE * ball.radius_mm)
    clear = surface.max(axis=-1) > CLEAR_EDGE
    return around, at[surface.argmax(axis=-1)], clear


def azimuths(axes: Floats, count: int) -> Floats:
    """(n, count, 3) unit vectors around each axis, at right angles to it."""
    first = np.cross(axes, np.array([1.0, 0.0, 0.0]))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(axes, first)
    turn = np.arange(count) * (2 * np.pi / count)
    cosine, sine = np.cos(turn)[None, :, None], np.sin(turn)[None, :, None]
    return np.asarray(first[:, None] * cosine + second[:, None] * sine)


def _around(axis: Floats, spread: float) -> Floats:
    """The axis and twelve unit vectors around it."""
    tilted = axis + spread * azimuths(axis[None], AZIMUTHS)[0]
    axes = np.vstack([axis[None], tilted])
    return np.asarray(axes / np.linalg.norm(axes, axis=1, keepdims=True))
