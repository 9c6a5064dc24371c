"""Signed distances of smooth bodies on open grids, and local frames.

A grid is three float32 arrays ``x (1, 1, nx)``, ``y (1, ny, 1)``, ``z (nz, 1, 1)`` in mm. An
axis-aligned plane is a grid with one axis of length 1; results are ``(nz, ny, nx)``. A distance
is in mm, negative inside, and exact near the surface only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
"""Always float32; numpy's annotations only guarantee the wider type."""
Matrix = npt.NDArray[np.float64]
Grid = tuple[Array, Array, Array]
Point = tuple[float, float, float]

HALF_DIAGONAL = 1.8
"""Margin of every box in mm, because smooth unions and soft edges extend outside."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A local frame: ``axes`` (3, 3), the local axes as columns; ``origin`` in patient mm.

    ``axes`` may mirror (determinant −1), so that both hips have the same description.
    """

    axes: Matrix
    origin: Matrix

    def local(self, grid: Grid) -> Grid:
        """Return the local coordinates of a grid, each broadcast to (nz, ny, nx)."""
        x, y, z = grid
        result = []
        for axis in self.axes.T:
            a, b, c = (float(value) for value in axis)
            result.append(x * a + (y * b + (z * c - float(axis @ self.origin))))
        return result[0], result[1], result[2]

    def place(self, points: npt.ArrayLike) -> Matrix:
        """Return (…, 3) local points in patient LPS mm."""
        return np.asarray(np.asarray(points, dtype=np.float64) @ self.axes.T + self.origin)

    def child(self, axes: Matrix, origin: npt.ArrayLike) -> "Frame":
        """Return a frame given in this frame's coordinates."""
        return Frame(self.axes @ axes, self.place(origin))


def box_of(frame: Frame, low: npt.ArrayLike, high: npt.ArrayLike) -> Matrix:
    """Return the (2, 3) box along the patient's axes around a local box."""
    ends = np.array([low, high], dtype=np.float64)
    corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1).reshape(-1, 3)
    placed = frame.place(corners)
    return np.stack([placed.min(axis=0) - HALF_DIAGONAL, placed.max(axis=0) + HALF_DIAGONAL])


def box_of_points(frame: Frame, points: npt.ArrayLike, radius_mm: float) -> Matrix:
    """Return the (2, 3) box along the patient's axes around local points, with a margin."""
    placed = frame.place(points)
    margin = radius_mm + HALF_DIAGONAL
    return np.stack([placed.min(axis=0) - margin, placed.max(axis=0) + margin])


def rotation(about_x_deg: float, about_y_deg: float, about_z_deg: float) -> Matrix:
    """Return the rotation matrix Rz · Ry · Rx."""
    a, b, c = np.radians([about_x_deg, about_y_deg, about_z_deg])
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx)


MIRROR_X: Matrix = np.diag([-1.0, 1.0, 1.0])


def coverage(distance: Array, width: float) -> Array:
    """Return the share 0–1 of a neighborhood of ``width`` mm that lies inside a surface."""
    share = distance * (-1.0 / width)
    share += 0.5
    return np.clip(share, 0.0, 1.0, out=share)


def smoothstep(value: Array, low: float, high: float) -> Array:
    """Return the cubic 0–1 ramp from ``low`` to ``high``."""
    ramp = np.clip((value - low) * (1.0 / (high - low)), 0.0, 1.0)
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp))


def smooth_min(first: Array, second: Array, reach: float) -> Array:
    """Return the union of two distances with a fillet of ``reach`` mm.

    The fillet is a polynomial smooth minimum.
    """
    blend = np.abs(first - second)
    np.subtract(reach, blend, out=blend)
    np.maximum(blend, 0.0, out=blend)
    blend *= blend
    blend *= -0.25 / reach
    blend += np.minimum(first, second)
    return blend


def smooth_max(first: Array, second: Array, reach: float) -> Array:
    """Return the intersection of two distances with a rounded edge of ``reach`` mm."""
    return -smooth_min(-first, -second, reach)


def gaussian(p: Grid, center: Sequence[float], radii: Sequence[float]) -> Array:
    """Return exp(−k²) with k = 1 on the ellipsoid of ``radii``."""
    total = ((p[0] - center[0]) * (1.0 / radii[0])) ** 2
    total = total + ((p[1] - center[1]) * (1.0 / radii[1])) ** 2
    total = total + ((p[2] - center[2]) * (1.0 / radii[2])) ** 2
    return np.asarray(np.exp(-total))


def ellipsoid(p: Grid, center: Sequence[float], radii: Sequence[float]) -> Array:
    """Return the first-order distance to an axis-aligned ellipsoid, k(k − 1)/|∇|."""
    total: Array | float = 0.0
    slope: Array | float = 1e-6
    for coordinate, middle, radius in zip(p, center, radii, strict=True):
        scaled = (coordinate - middle) * (1.0 / radius)
        square = scaled * scaled
        total = total + square
        slope = slope + square * (1.0 / radius**2)
    k = np.sqrt(total)
    return np.asarray((total - k) / np.sqrt(slope))


def capsule(
    p: Grid, start: Sequence[float], end: Sequence[float], radii: tuple[float, float]
) -> Array:
    """Return the distance to a rod whose radius changes linearly between two points."""
    dx, dy, dz = (b - a for a, b in zip(start, end, strict=True))
    x, y, z = p[0] - start[0], p[1] - start[1], p[2] - start[2]
    along = (x * dx + y * dy + z * dz) * (1.0 / (dx * dx + dy * dy + dz * dz))
    np.clip(along, 0.0, 1.0, out=along)
    away = (x - along * dx) ** 2
    away += (y - along * dy) ** 2
    away += (z - along * dz) ** 2
    np.sqrt(away, out=away)
    away -= radii[0]
    if radii[1] != radii[0]:
        away -= along * (radii[1] - radii[0])
    return np.asarray(away)


def spindle(
    p: Grid, start: Sequence[float], end: Sequence[float], radius: float, ends: float
) -> Array:
    """Return the distance to a muscle belly.

    ``radius`` : radius in the middle. ``ends`` : radius at both ends.
    """
    dx, dy, dz = (b - a for a, b in zip(start, end, strict=True))
    x, y, z = p[0] - start[0], p[1] - start[1], p[2] - start[2]
    along = (x * dx + y * dy + z * dz) * (1.0 / (dx * dx + dy * dy + dz * dz))
    np.clip(along, 0.0, 1.0, out=along)
    away = np.sqrt((x - along * dx) ** 2 + (y - along * dy) ** 2 + (z - along * dz) ** 2)
    away -= ends + (4.0 * (radius - ends)) * along * (1.0 - along)
    return np.asarray(away)


def polygon(u: Array, v: Array, corners: Sequence[tuple[float, float]]) -> Array:
    """Return the signed distance to a closed polygon in a plane, negative inside."""
    nearest: Array | None = None
    sign = np.ones(np.broadcast_shapes(u.shape, v.shape), dtype=np.float32)
    for (u0, v0), (u1, v1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        du, dv = u1 - u0, v1 - v0
        a, b = u - u0, v - v0
        along = np.clip((a * du + b * dv) * (1.0 / (du * du + dv * dv)), 0.0, 1.0)
        square = (a - along * du) ** 2 + (b - along * dv) ** 2
        nearest = square if nearest is None else np.minimum(nearest, square)
        crosses = ((v0 <= v) != (v1 <= v)) & ((a * dv - b * du) * dv < 0.0)
        np.negative(sign, out=sign, where=crosses)
    assert nearest is not None, "a polygon must have corners"  # noqa: S101
    return np.asarray(np.sqrt(nearest) * sign)
