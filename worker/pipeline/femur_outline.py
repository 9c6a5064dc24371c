"""Outline of the proximal femur on a plane: head, neck, trochanters and upper shaft.

The finder's head, neck axis and shaft axis give a first outline. Each of its points then moves
at right angles to it, within a few mm, to where HU fall from bone outward: the shortest path
around the bone (dynamic programming). Where no fall is seen, as at a joint space thinner than
the pixels, the first outline stays.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from worker.pipeline.neck import SUBPIXELS
from worker.pipeline.validation.field_of_view import neck_axis_of, trochanter_of
from worker.pipeline.volume import Femur, Plane, PointMm

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OutlineParameters:
    """Shape and search of the outline. Radii are in radii of the head."""

    # Anatomy: half-widths of neck, of the trochanters and of the upper shaft.
    neck_radii: float = 0.72
    trochanter_radii: float = 0.85
    trochanter_beyond_mm: float = 8.0
    # Of the greater trochanter, from there up along the shaft.
    tip_radii: float = 0.5
    tip_mm: float = 16.0
    shaft_radii: float = 0.68
    # The outline ends about 5 cm below the lesser trochanter, where the subtrochanteric region
    # ends, or where the shaft leaves the plane.
    shaft_mm: float = 70.0
    min_shaft_mm: float = 10.0
    max_depth_mm: float = 10.0
    # Rounding of the corners between the parts; tuned.
    blend_mm: float = 4.0
    # Points of the search, along the outline and outward.
    trace_mm: float = 2.0
    step_mm: float = 1.0
    offset_step_mm: float = 0.5
    offsets_mm: tuple[float, float] = (-9.0, 14.0)
    smooth_mm: float = 0.7
    edge_mm: float = 1.0
    clear_fall_hu_per_mm: float = 150.0
    # Offset that costs as much as the clearest fall gains, (inward, outward): outside of the
    # head the next fall is that of the socket.
    head_reach_mm: tuple[float, float] = (10.0, 2.5)
    reach_mm: tuple[float, float] = (20.0, 20.0)
    # Cost of a clear fall farther inside: there the head ends, and what follows is the socket.
    inner_fall_cost: float = 1.0
    inner_fall_mm: float = 1.5
    max_slope: int = 2
    slope_cost: float = 0.03
    smooth_points: float = 1.5
    vertex_mm: float = 3.0


PARAMETERS = OutlineParameters()
MAX_STEPS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """The finder's femur on the plane, mm along (rows, columns) from its first pixel center."""

    head: Floats
    head_mm: float
    trochanter: Floats
    beyond: Floats
    tip: Floats
    down: Floats
    shaft_mm: float
    radius_mm: float

    def part_distances(self, points: Floats) -> Floats:
        """Return (5, …) signed distances, mm, of (…, 2) points from the parts, the head first.

        Negative inside.
        """
        radius = self.radius_mm
        end = self.trochanter + self.shaft_mm * self.down
        shaft = _to_segment(points, self.trochanter, end + self.radius_mm * self.down)
        return np.stack(
            [
                np.linalg.norm(points - self.head, axis=-1) - self.head_mm,
                _to_segment(points, self.head, self.trochanter)
                - PARAMETERS.neck_radii * radius,
                np.linalg.norm(points - self.beyond, axis=-1)
                - PARAMETERS.trochanter_radii * radius,
                np.linalg.norm(points - self.tip, axis=-1) - PARAMETERS.tip_radii * radius,
                np.maximum(shaft - PARAMETERS.shaft_radii * radius, self.below_end(points)),
            ]
        )

    def below_end(self, points: Floats) -> Floats:
        """Return the (…) mm of (…, 2) points below the lower end of the outline."""
        return np.asarray((points - self.trochanter) @ self.down - self.shaft_mm)

    def distance(self, points: Floats) -> Floats:
        """Return the (…) signed distances of (…, 2) points from the union, rounded inside."""
        blend = PARAMETERS.blend_mm
        parts = self.part_distances(points)
        return np.asarray(-blend * np.log(np.exp(-parts / blend).sum(axis=0)))

    def normals(self, points: Floats) -> Floats:
        """Return (…, 2) unit vectors outward at (…, 2) points."""
        steps = 0.25 * np.eye(2)
        slopes = [self.distance(points + step) - self.distance(points - step) for step in steps]
        gradient = np.stack(slopes, axis=-1)
        length = np.linalg.norm(gradient, axis=-1, keepdims=True)
        return np.asarray(gradient / np.maximum(length, 1e-9))


def femur_outline(plane: Plane, femur: Femur) -> tuple[PointMm, ...] | None:
    """Return the vertices around the femur on its plane, patient LPS mm.

    The first is not repeated; they are about 3 mm apart. None where the plane misses the head.
    """
    spacing = np.array([plane.row_spacing_mm, plane.column_spacing_mm])
    shape = _shape(plane, femur, spacing)
    if shape is None:
        return None
    first = _trace(shape)
    normals = shape.normals(first)
    offsets = _best_offsets(plane, shape, first, normals)
    points = _smooth(first + offsets[:, None] * normals)
    every = max(1, round(PARAMETERS.vertex_mm / PARAMETERS.step_mm))
    last = np.array(plane.hu.shape) - 1
    index = np.clip(points[::every] / spacing, 0, last)
    rounded = np.rint(index * SUBPIXELS) / SUBPIXELS
    return tuple((x, y, z) for x, y, z in plane.to_mm(rounded).tolist())


def _shape(plane: Plane, femur: Femur, spacing: Floats) -> _Shape | None:
    """Project a femur on the plane; None where the plane misses the head."""
    head: Floats = plane.to_index(femur.center_mm) * spacing
    off_mm = math.dist(femur.center_mm, plane.to_mm(head / spacing))
    if off_mm >= femur.radius_mm:
        return None
    meeting_mm = trochanter_of(femur)
    trochanter = plane.to_index(meeting_mm) * spacing
    beyond_mm = meeting_mm + PARAMETERS.trochanter_beyond_mm * neck_axis_of(femur)
    directions = np.array([plane.row_direction, plane.column_direction])
    shaft = np.array(femur.shaft_direction or (0.0, 0.0, -1.0))
    down = directions @ shaft
    normal = np.cross(*directions)
    slope, depth = float(shaft @ normal), float((meeting_mm - plane.position_mm) @ normal)
    in_plane = np.arange(PARAMETERS.min_shaft_mm, PARAMETERS.shaft_mm + 0.5)
    near = np.abs(depth + slope * in_plane) <= max(PARAMETERS.max_depth_mm, abs(depth))
    return _Shape(
        head=head,
        head_mm=math.sqrt(femur.radius_mm**2 - off_mm**2),
        trochanter=trochanter,
        beyond=plane.to_index(beyond_mm) * spacing,
        tip=plane.to_index(beyond_mm - PARAMETERS.tip_mm * shaft) * spacing,
        down=down / np.linalg.norm(down),
        shaft_mm=float(in_plane[near].max(initial=PARAMETERS.min_shaft_mm)),
        radius_mm=femur.radius_mm,
    )


def _trace(shape: _Shape) -> Floats:
    """Return (n, 2) points ``step_mm`` apart around the shape, the first not repeated."""
    step = PARAMETERS.trace_mm
    point = shape.head - shape.head_mm * _unit(shape.trochanter - shape.head)
    points = [point]
    for _ in range(MAX_STEPS):
        normal = shape.normals(point)
        point = point + step * np.array([-normal[1], normal[0]])
        for _ in range(2):
            point = point - shape.distance(point) * normal
        if len(points) > 2 and np.linalg.norm(point - points[0]) < step:
            break
        points.append(point)
    closed = np.array([*points, points[0]])
    lengths = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    at = np.linspace(0, along[-1], round(along[-1] / PARAMETERS.step_mm), endpoint=False)
    return np.column_stack([np.interp(at, along, axis) for axis in closed.T])


def _best_offsets(plane: Plane, shape: _Shape, points: Floats, normals: Floats) -> Floats:
    """Return the (n,) mm by which each point moves outward to the surface of the bone."""
    low, high = PARAMETERS.offsets_mm
    step = PARAMETERS.offset_step_mm
    offsets = np.arange(low, high + step / 2, step)
    spacing = np.array([plane.row_spacing_mm, plane.column_spacing_mm])
    hu = gaussian_filter(plane.hu.astype(np.float64), PARAMETERS.smooth_mm / spacing)
    # (n, offsets, 2)
    samples = points[:, None] + offsets[:, None] * normals[:, None]
    index = np.moveaxis(samples / spacing, -1, 0)
    values = map_coordinates(hu, index, order=1, mode="nearest")
    fall = -gaussian_filter1d(values, PARAMETERS.edge_mm / step, axis=1, order=1) / step
    on_head = shape.part_distances(points).argmin(axis=0) == 0
    gain = np.clip(fall / PARAMETERS.clear_fall_hu_per_mm, 0, 1)
    gain -= np.where(
        on_head[:, None],
        _cost(offsets, PARAMETERS.head_reach_mm) + PARAMETERS.inner_fall_cost * _before(gain),
        _cost(offsets, PARAMETERS.reach_mm),
    )
    at_end = shape.below_end(points) > -PARAMETERS.step_mm
    gain[at_end] = -np.abs(offsets)
    return np.asarray(offsets[_closed_path(gain)])


def _before(falls: Floats) -> Floats:
    """Return the clearest fall farther inside; ``falls`` : (n, offsets), inside first."""
    shift = round(PARAMETERS.inner_fall_mm / PARAMETERS.offset_step_mm)
    inside = np.maximum.accumulate(falls, axis=1)[:, :-shift]
    return np.pad(inside, ((0, 0), (shift, 0)))


def _cost(offsets: Floats, reach_mm: tuple[float, float]) -> Floats:
    inward, outward = reach_mm
    return np.where(offsets < 0, -offsets / inward, offsets / outward)


def _closed_path(gain: Floats) -> npt.NDArray[np.intp]:
    """Return the (n,) columns of the best path through (n, columns), whose ends meet.

    The rows are repeated, and the part is taken that the ends do not influence.
    """
    count = len(gain)
    rows = np.concatenate([gain, gain, gain])
    moves = np.arange(-PARAMETERS.max_slope, PARAMETERS.max_slope + 1)
    cost = PARAMETERS.slope_cost * moves**2
    best, came = rows[0], np.zeros(rows.shape, np.intp)
    for row in range(1, len(rows)):
        padded = np.pad(best, PARAMETERS.max_slope, constant_values=-np.inf)
        options = np.lib.stride_tricks.sliding_window_view(padded, len(moves)) - cost
        came[row] = options.argmax(axis=1) - PARAMETERS.max_slope
        best = options.max(axis=1) + rows[row]
    path = np.empty(len(rows), np.intp)
    path[-1] = best.argmax()
    for row in range(len(rows) - 1, 0, -1):
        path[row - 1] = path[row] + came[row, path[row]]
    return path[count : 2 * count]


def _smooth(points: Floats) -> Floats:
    return np.asarray(gaussian_filter1d(points, PARAMETERS.smooth_points, axis=0, mode="wrap"))


def _to_segment(points: Floats, start: Floats, end: Floats) -> Floats:
    """Return the (…) distances of (…, 2) points from a segment."""
    along = end - start
    share = np.clip((points - start) @ along / max(float(along @ along), 1e-9), 0, 1)
    return np.asarray(np.linalg.norm(points - start - share[..., None] * along, axis=-1))


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))
