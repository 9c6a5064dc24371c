"""Coordinates of regions: on a source slice, in the frame of reference, or on the capture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from highdicom.sr import Scoord3DContentItem, ScoordContentItem
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom import Dataset
from pydicom.sr.codedict import codes

from worker.pipeline import header_values, statements
from worker.pipeline.capture.secondary_capture import overlay_of
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


def region_builder(
    screening: Screening, pictures: Sequence[Dataset], sop_class: SopClass
) -> RegionOf:
    """Return a function that builds the region of an outline on a plane.

    The region is on the source slice (SCOORD) where the plane is one, and in the frame of
    reference (SCOORD3D) where the plane was reformatted. Comprehensive SR has no SCOORD3D:
    there a region on a reformatted plane is on the capture, the only image that shows it.
    """
    sources = {
        (str(header.SOPInstanceUID), header_values.frame_of(header)): header
        for header in screening.headers
    }

    def region_of(plane: Plane, outline: Outline) -> ContentItem:
        source = sources.get((plane.source_sop_uid or "", plane.source_frame))
        grid = None if source is None else source_grid(source)
        frame_of_reference = header_values.uid_of(screening.headers[0], "FrameOfReferenceUID")
        closed = [*outline, outline[0]]
        if grid is None and sop_class == "comprehensive3d" and frame_of_reference:
            return _in_space(closed, frame_of_reference)
        return _on_image(grid or capture_grid(overlay_of(pictures), screening, plane), closed)

    return region_of


def _on_image(grid: Grid, closed: Outline) -> ContentItem:
    """Return a closed POLYLINE, which encloses an area (PS3.3 C.18.6.1.2)."""
    points = grid.to_pixels(closed)
    item = ScoordContentItem(
        codes.DCM.ImageRegion, "POLYLINE", points, relationship_type="CONTAINS"
    )
    source = image(report_codes.SOURCE, grid.image, relationship="SELECTED FROM")
    item.ContentSequence = ContentSequence([source])
    return item


def _in_space(closed: Outline, frame_of_reference_uid: str) -> ContentItem:
    """Return a POLYGON, which is closed and planar (PS3.3 C.18.9.1.2)."""
    return Scoord3DContentItem(
        codes.DCM.ImageRegion,
        "POLYGON",
        np.array(closed),
        frame_of_reference_uid,
        relationship_type="CONTAINS",
    )
