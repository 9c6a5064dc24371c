"""Shape of the finder's femur on a plane: head, neck, trochanters and upper shaft.

The shape is a first outline (``femur_outline``), and the distance from it tells the network
which pixels of a crop belong to the femur that is graded (``femur_distance``).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.validation.field_of_view import neck_axis_of, trochanter_of
from worker.pipeline.volume import Femur, Plane

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ShapeParameters:
    """Sizes of the parts. Radii are in radii of the head."""

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
    # Radius that is left of a head which the plane misses.
    missed_head_radii: float = 0.3


PARAMETERS = ShapeParameters()
LIMIT_MM = 60.0
"""Largest distance that is told apart."""
STEP_MM = 0.5
"""Step of the distances, so that they fit in one byte."""


@dataclass(frozen=True, slots=True, eq=False)
class FemurShape:
    """The finder's femur on the plane, mm along (rows, columns) from its first pixel center."""

    head: Floats
    head_mm: float
    trochanter: Floats
    beyond: Floats
    tip: Floats
    down: Floats
    shaft_mm: float
    radius_mm: float

    @property
    def end(self) -> Floats:
        """Point of the shaft axis where the outline ends."""
        return np.asarray(self.trochanter + self.shaft_mm * self.down)

    def part_distances(self, points: Floats) -> Floats:
        """Return (5, …) signed distances, mm, of (…, 2) points from the parts, the head first.

        Negative inside.
        """
        radius = self.radius_mm
        shaft = distance_to_segment(points, self.trochanter, self.end + radius * self.down)
        return np.stack(
            [
                _length(points - self.head) - self.head_mm,
                distance_to_segment(points, self.head, self.trochanter)
                - PARAMETERS.neck_radii * radius,
                _length(points - self.beyond) - PARAMETERS.trochanter_radii * radius,
                _length(points - self.tip) - PARAMETERS.tip_radii * radius,
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


def femur_shape(plane: Plane, femur: Femur) -> FemurShape | None:
    """Project a femur on the plane; None where the plane misses the head."""
    shape, off_mm = _projected(plane, femur)
    return None if off_mm >= femur.radius_mm else shape


def femur_distance(
    plane: Plane, femur: Femur, rows_mm: Floats, columns_mm: Floats
) -> npt.NDArray[np.float32]:
    """Return the (rows, columns) float32 signed distances of points from a femur, mm.

    ``rows_mm``, ``columns_mm`` : from the center of the plane's first pixel. Negative inside,
    −60 to 60 in steps of 0.5. Where the plane misses the head, a small head is left.
    """
    shape, _ = _projected(plane, femur)
    points = np.stack(np.meshgrid(rows_mm, columns_mm, indexing="ij"), axis=-1)
    steps = np.rint(np.clip(shape.distance(points), -LIMIT_MM, LIMIT_MM) / STEP_MM)
    return np.asarray(steps * STEP_MM, np.float32)


def _projected(plane: Plane, femur: Femur) -> tuple[FemurShape, float]:
    """Return the shape on the plane, and the mm from the center of the head to the plane."""
    spacing = np.array([plane.row_spacing_mm, plane.column_spacing_mm])
    head: Floats = plane.to_index(femur.center_mm) * spacing
    off_mm = math.dist(femur.center_mm, plane.to_mm(head / spacing))
    least_mm = PARAMETERS.missed_head_radii * femur.radius_mm
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
    shape = FemurShape(
        head=head,
        head_mm=math.sqrt(max(femur.radius_mm**2 - off_mm**2, least_mm**2)),
        trochanter=trochanter,
        beyond=plane.to_index(beyond_mm) * spacing,
        tip=plane.to_index(beyond_mm - PARAMETERS.tip_mm * shaft) * spacing,
        down=down / np.linalg.norm(down),
        shaft_mm=float(in_plane[near].max(initial=PARAMETERS.min_shaft_mm)),
        radius_mm=femur.radius_mm,
    )
    return shape, off_mm


def distance_to_segment(points: Floats, start: Floats, end: Floats) -> Floats:
    """Return the (…) distances of (…, 2) points from a segment."""
    along = end - start
    share = np.clip((points - start) @ along / max(float(along @ along), 1e-9), 0, 1)
    return np.asarray(_length(points - start - share[..., None] * along))


def _length(vectors: Floats) -> Floats:
    """Return the (…) lengths of (…, 2) vectors, faster than ``np.linalg.norm``."""
    return np.hypot(vectors[..., 0], vectors[..., 1])
