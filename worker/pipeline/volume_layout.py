"""Grids of the volume of a series, and its size in memory, from the headers alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from worker.pipeline import header_values
from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.decoding.pixel_format import read_format
from worker.pipeline.header_values import require
from worker.pipeline.limits import MAX_KEPT_VOXELS, MAX_REFORMATTED_VOXELS
from worker.pipeline.reformat import (
    Affine,
    Shape,
    canonical_grid,
    enclosing_grid,
    rows_after,
    slab_grid,
)
from worker.pipeline.volume import Series

# Distance of the reformatted coronal planes of an axial series: that of the paper's coronal
# reformats (2–4 mm), so that noise and partial volume are alike.
PLANE_DISTANCE_MM = 2.5
# A series turned by less keeps its own grid and the references to its slices; its affine
# holds the angle.
ALIGNED_DEG = 1.5


@dataclass(frozen=True, slots=True)
class Layout:
    """Grids of a volume, from the headers.

    ``axis``, ``thickness`` : image axis along which slabs are averaged, and their pixels.
    ``shape``, ``affine`` : of the slices after that. ``spacing_mm`` : distances of a grid along
    the patient's axes. ``oblique`` : whether the volume is interpolated on it; of an axial
    series that is not, the rows are.
    """

    axis: int
    thickness: int
    shape: Shape
    affine: Affine
    spacing_mm: tuple[float, float, float]
    axial: bool
    oblique: bool

    def reformatted_shape(self) -> Shape | None:
        """Return the shape of the interpolated volume, None where there is none."""
        shape, affine = canonical_grid(self.shape, self.affine)
        if self.oblique:
            return enclosing_grid(shape, affine, self.spacing_mm)[0]
        if not self.axial:
            return None
        distance_mm = float(np.linalg.norm(affine[:3, 1]))
        return shape[0], rows_after(shape[1], distance_mm, self.spacing_mm[1]), shape[2]


def layout_of(series: Series) -> Layout:
    """Return the grids of a volume. Raises DecodeError."""
    affine, image = _affine(series.headers), read_format(series.headers[0])
    axial = series.orientation == "axial"
    axis, thickness = 0, 1
    if axial:
        # The image axis that runs anterior-posterior: the rows unless transposed.
        axis = int(np.abs(affine[1, 1:3]).argmax())
        thickness = max(1, round(PLANE_DISTANCE_MM / np.linalg.norm(affine[:3, 1 + axis])))
    size = [image.rows, image.columns]
    size[axis] //= thickness
    affine = affine @ slab_grid(thickness, axis)
    shape = (len(series.headers), *size)
    _, row_mm, column_mm = np.linalg.norm(canonical_grid(shape, affine)[1][:3, :3], axis=0)
    directions = require(header_values.directions_of(series.headers[0]))
    return Layout(
        axis=axis,
        thickness=thickness,
        shape=shape,
        affine=affine,
        spacing_mm=(PLANE_DISTANCE_MM, float(column_mm if axial else row_mm), float(column_mm)),
        axial=axial,
        oblique=header_values.obliquity_deg(directions) >= ALIGNED_DEG,
    )


def check_voxels(layout: Layout) -> int:
    """Return the voxels that are in memory at the same time. Raises DecodeError."""
    kept, reformatted = math.prod(layout.shape), layout.reformatted_shape()
    if not kept:
        raise DecodeError("The images are smaller than the distance of coronal planes.")
    if kept > MAX_KEPT_VOXELS:
        raise DecodeError(
            f"The volume has {kept} voxels, at most {MAX_KEPT_VOXELS} are kept in memory."
        )
    both = kept + math.prod(reformatted or (0,))
    if both > MAX_REFORMATTED_VOXELS:
        raise DecodeError(
            f"The volume and the one that is reformatted from it have {both} voxels, at most "
            f"{MAX_REFORMATTED_VOXELS} are kept in memory."
        )
    return both


def _affine(headers: Sequence[Dataset]) -> Affine:
    """Return the affine of evenly spaced, sorted slices.

    (4, 4), index (slice, row, column, 1) → patient LPS mm.
    """
    directions = require(header_values.directions_of(headers[0]))
    spacing = require(header_values.spacing_of(headers[0]))
    first = require(header_values.position_of(headers[0]))
    last = require(header_values.position_of(headers[-1]))
    affine = np.eye(4)
    affine[:3, 0] = (last - first) / max(1, len(headers) - 1)
    affine[:3, 1] = directions[1] * spacing[0]
    affine[:3, 2] = directions[0] * spacing[1]
    affine[:3, 3] = first
    return affine
