"""Outline of the proximal femur on a plane: head, neck, trochanters and upper shaft.

The finder's head, neck axis and shaft axis give a first outline. Each of its points then moves
at right angles to it, within a few mm, to where HU fall from bone outward: the shortest path
around the bone (dynamic programming). Where no fall is seen, as at a joint space thinner than
the pixels, the first outline stays.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from contourpy import contour_generator
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from worker.pipeline.femur_shape import FemurShape, femur_shape
from worker.pipeline.neck import SUBPIXELS
from worker.pipeline.volume import Femur, Plane, PointMm

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OutlineParameters:
    """Search of the outline."""

    # Grid of the first outline; points of the search, along the outline and outward.
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


def femur_outline(plane: Plane, femur: Femur) -> tuple[PointMm, ...] | None:
    """Return the vertices around the femur on its plane, patient LPS mm.

    The first is not repeated; they are about 3 mm apart. None where the plane misses the head.
    """
    spacing = np.array([plane.row_spacing_mm, plane.column_spacing_mm])
    shape = femur_shape(plane, femur)
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


def _trace(shape: FemurShape) -> Floats:
    """Return (n, 2) points ``step_mm`` apart around the shape, the first not repeated."""
    start = shape.head - shape.head_mm * _unit(shape.trochanter - shape.head)
    corners = np.array([shape.head, shape.trochanter, shape.beyond, shape.tip, shape.end])
    margin_mm = 1.5 * shape.radius_mm
    rows, columns = (
        np.arange(low - margin_mm, high + margin_mm, PARAMETERS.trace_mm)
        for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)
    )
    distances = shape.distance(np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1))
    contours = contour_generator(columns, rows, distances, line_type="Separate")
    lines = [np.asarray(line) for line in contours.lines(0.0)]
    outline = max(lines, key=len)[:-1, ::-1]
    points = np.roll(outline, -np.linalg.norm(outline - start, axis=1).argmin(), axis=0)
    closed = np.array([*points, points[0]])
    lengths = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    at = np.linspace(0, along[-1], round(along[-1] / PARAMETERS.step_mm), endpoint=False)
    return np.column_stack([np.interp(at, along, axis) for axis in closed.T])


def _best_offsets(plane: Plane, shape: FemurShape, points: Floats, normals: Floats) -> Floats:
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
    came = np.zeros(rows.shape, np.intp)
    # ``best`` is a view of ``padded``, and so are the moves that lead to each column.
    padded = np.full(rows.shape[1] + 2 * PARAMETERS.max_slope, -np.inf)
    best = padded[PARAMETERS.max_slope : -PARAMETERS.max_slope]
    best[:] = rows[0]
    moved = np.lib.stride_tricks.sliding_window_view(padded, len(moves))
    for row in range(1, len(rows)):
        options = moved - cost
        came[row] = options.argmax(axis=1) - PARAMETERS.max_slope
        best[:] = options.max(axis=1) + rows[row]
    path = np.empty(len(rows), np.intp)
    path[-1] = best.argmax()
    for row in range(len(rows) - 1, 0, -1):
        path[row - 1] = path[row] + came[row, path[row]]
    return path[count : 2 * count]


def _smooth(points: Floats) -> Floats:
    return np.asarray(gaussian_filter1d(points, PARAMETERS.smooth_points, axis=0, mode="wrap"))


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))
