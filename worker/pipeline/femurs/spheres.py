"""Centre and radius of a femoral head to a fraction of a voxel."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import Grid, sphere_directions
from worker.pipeline.femurs.heads import Ball, Floats, surface_along

DIRECTIONS = sphere_directions(256)
NECK_CONE_COSINE = 0.6
STEP_MM = 0.5
SPAN = 8
# How far from the last sphere an edge may lie, fit after fit.
WINDOWS_MM = (4.0, 4.0, 3.0, 3.0, 2.5, 2.5)
CLEAR_EDGE = 0.2
INNER_SHARE = 0.5
MIN_EDGES = 40
INLIER_MM = 2.0
START_OFFSETS_MM = (0.0, -4.0, 2.0, 4.0, 6.0)
SMALLEST_MM, LARGEST_MM = 17.0, 30.0
# Radii of adult femoral heads, women and men together.
USUAL_RADIUS_MM, SPREAD_MM = 23.0, 3.5


def fit_sphere(
    grid: Grid, ball: Ball, neck_axis: Floats, offsets_mm: Sequence[float] = START_OFFSETS_MM
) -> Ball:
    """The best of the least-squares spheres that are reached from several radii.

    A head holds weaker, smaller shells and lies in the larger one of the acetabulum; of the
    spheres that are found, the one counts whose surface is seen best and whose size is usual.
    """
    directions = DIRECTIONS[DIRECTIONS @ neck_axis < NECK_CONE_COSINE]
    starts = np.clip(ball.radius_mm + np.array(offsets_mm), SMALLEST_MM, LARGEST_MM)
    fits = [_fit(grid, ball, float(radius), directions) for radius in starts]
    return max(fits, key=lambda fit: fit.roundness * usualness(fit.radius_mm))


def usualness(radius_mm: float) -> float:
    """0–1, how near a radius is to that of most heads."""
    return math.exp(-(((radius_mm - USUAL_RADIUS_MM) / SPREAD_MM) ** 2) / 2)


def _fit(grid: Grid, ball: Ball, radius: float, directions: npt.NDArray[np.float32]) -> Ball:
    """Least squares on the edges near the sphere, in ever narrower windows.

    Of the edges along a ray the innermost counts that is at least half as clear as the
    clearest: beyond the head's own surface lies that of the acetabulum.
    """
    center, roundness = ball.center, 0.0
    for window in WINDOWS_MM:
        at = np.arange(radius - window, radius + window + 0.1, STEP_MM)
        steps = np.arange(
            at[0] - SPAN * STEP_MM / 2, at[-1] + SPAN * STEP_MM / 2 + 0.1, STEP_MM
        )
        values = grid.interpolate(center + directions[:, None] * steps[None, :, None])
        surface = surface_along(values, SPAN)[:, : len(at)]
        clear = surface.max(axis=1) > CLEAR_EDGE
        if clear.sum() < MIN_EDGES:
            return Ball(center, radius, ball.score)
        points = center + directions[clear] * at[_innermost(surface[clear])][:, None]
        center, radius = least_squares_sphere(points)
        radius = float(np.clip(radius, SMALLEST_MM, LARGEST_MM))
        distances = np.linalg.norm(points - center, axis=1)
        inside = np.isfinite(values[:, values.shape[1] // 2])
        roundness = float((np.abs(distances - radius) < INLIER_MM).sum() / max(1, inside.sum()))
    return Ball(center, radius, ball.score, min(1.0, roundness))


def _innermost(surface: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """(n,) index of the first peak that reaches ``INNER_SHARE`` of the row's highest."""
    peaks = surface >= INNER_SHARE * surface.max(axis=1, keepdims=True)
    peaks[:, 1:-1] &= surface[:, 1:-1] >= np.maximum(surface[:, :-2], surface[:, 2:])
    return np.asarray(peaks.argmax(axis=1))


def least_squares_sphere(points: Floats) -> tuple[Floats, float]:
    """Centre and radius of the algebraic least-squares sphere through (n, 3) points."""
    matrix = np.column_stack([2 * points, np.ones(len(points))])
    solution, *_ = np.linalg.lstsq(matrix, (points**2).sum(axis=1), rcond=None)
    center = solution[:3]
    return center, float(np.sqrt(max(0.0, solution[3] + center @ center)))
