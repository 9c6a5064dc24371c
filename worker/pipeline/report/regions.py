"""Coordinates of regions, on a source slice or on the overlay picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from highdicom.sr import ScoordContentItem
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom import Dataset
from pydicom.sr.codedict import codes

from worker.pipeline import header_values, statements
from worker.pipeline.capture.secondary_capture import overlay_of
from worker.pipeline.image_numbers import source_slice
from worker.pipeline.plane_layout import lay_out_planes
from worker.pipeline.report import codes as report_codes
from worker.pipeline.report.items import image
from worker.pipeline.results import Screening
from worker.pipeline.volume import Plane, PointMm

Points = npt.NDArray[np.float64]
SopClass = Literal["comprehensive3d", "comprehensive"]

Outline = Sequence[PointMm]
"""Vertices on a plane, patient LPS mm, the first not repeated."""
RegionOf = Callable[[Plane, Outline], ContentItem]
MIN_POINTS = 9


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixel grid of one image on which a 2-D region is drawn.

    ``image`` : data set with SOPClassUID and SOPInstanceUID. ``origin_mm`` : outer corner of
    the first pixel, patient LPS. ``directions`` : (2, 3) unit vectors of growing column and
    row. ``spacing_mm`` : of a pixel; ``begin``, ``end`` : the pixels that show the plane. All
    three (columns, rows), the order of SCOORD.
    """

    image: Dataset
    origin_mm: Points
    directions: Points
    spacing_mm: tuple[float, float]
    begin: tuple[int, int]
    end: tuple[int, int]

    def to_pixels(self, points_mm: npt.ArrayLike) -> Points:
        """Convert (n, 3) patient LPS mm to (n, 2) (column, row), clipped to ``begin``–``end``.

        Pixel edges: the top-left corner of the image is (0, 0), the bottom-right one
        (columns, rows) (PS3.3 C.18.6.1.1, Pixel Origin Interpretation).
        """
        offset = np.asarray(points_mm, dtype=float) - self.origin_mm
        return np.clip(offset @ self.directions.T / self.spacing_mm, self.begin, self.end)


def source_grid(header: Dataset) -> Grid | None:
    """Return the grid of a source slice, None where its header does not define it."""
    directions, position = (
        header_values.directions_of(header),
        header_values.position_of(header),
    )
    spacing = header_values.spacing_of(header)
    if directions is None or position is None or spacing is None:
        return None
    columns_mm, rows_mm = spacing[1], spacing[0]
    half_pixel = (columns_mm * directions[0] + rows_mm * directions[1]) / 2
    size = int(header.Columns), int(header.Rows)
    return Grid(header, position - half_pixel, directions, (columns_mm, rows_mm), (0, 0), size)


def capture_grid(capture: Dataset, screening: Screening, plane: Plane) -> Grid:
    """Return the grid of the overlay picture in the part that shows a hip's plane."""
    layout = lay_out_planes(statements.both_hips(screening))
    half = next(half for half in layout.halves if half.plane is plane)
    rows_mm, columns_mm = half.spacing_mm
    down, right = np.array(plane.row_direction), np.array(plane.column_direction)
    outer = plane.to_mm((-0.5, -0.5))
    columns = half.columns if layout.different_directions else slice(0, layout.size[1])
    return Grid(
        capture,
        outer - half.top * rows_mm * down - half.left * columns_mm * right,
        np.array([right, down]),
        (columns_mm, rows_mm),
        (columns.start, 0),
        (columns.stop, layout.size[0]),
    )


def region_builder(screening: Screening, pictures: Sequence[Dataset]) -> RegionOf:
    """Return a function that builds the region of an outline on a plane.

    The region is on the source slice where the plane is one. A plane that was reformatted is
    shown by the overlay picture only, and the region is on that: viewers do not draw a POLYGON
    in the frame of reference (SCOORD3D).
    """

    def region_of(plane: Plane, outline: Outline) -> ContentItem:
        source = source_slice(screening.headers, plane)
        grid = None if source is None else source_grid(source)
        return on_image(grid or capture_grid(overlay_of(pictures), screening, plane), outline)

    return region_of


def _closed(outline: Outline) -> Points:
    """Return the (n, 3) vertices of a closed outline, the first repeated, at least nine.

    OHIF takes a closed polyline of five points for an editable rectangle, and offers to load
    the report as one without its other content.
    """
    points = np.asarray(outline, dtype=float)
    while len(points) < MIN_POINTS - 1:
        middles = (points + np.roll(points, -1, axis=0)) / 2
        points = np.stack([points, middles], axis=1).reshape(-1, 3)
    return np.vstack([points, points[:1]])


def on_image(grid: Grid, outline: Outline) -> ContentItem:
    """Return a closed POLYLINE, which encloses an area (PS3.3 C.18.6.1.2)."""
    points = grid.to_pixels(_closed(outline))
    item = ScoordContentItem(
        codes.DCM.ImageRegion, "POLYLINE", points, relationship_type="CONTAINS"
    )
    source = image(report_codes.SOURCE, grid.image, relationship="SELECTED FROM")
    item.ContentSequence = ContentSequence([source])
    return item
