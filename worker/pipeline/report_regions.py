"""Where a region of the patient lies: on its source slice, in space, or on the capture."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from highdicom.sr import ImageContentItem, Scoord3DContentItem, ScoordContentItem
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom import Dataset
from pydicom.sr.codedict import codes

from worker.pipeline import geometry, report_codes
from worker.pipeline.results import HipCrop, NeckAttenuation, Plane, Screening

Points = npt.NDArray[np.float64]
SopClass = Literal["comprehensive3d", "comprehensive"]
SQUARE_TOLERANCE = 1e-3

RegionOf = Callable[[Plane, HipCrop | NeckAttenuation], ContentItem]


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixel grid of one image that a 2-D region is drawn on.

    ``image`` : has SOPClassUID and SOPInstanceUID. ``origin_mm`` : outer corner of the first
    pixel, patient LPS. ``directions`` : (2, 3) unit vectors of growing column and row.
    ``spacing_mm``, ``size`` : (columns, rows), the order of SCOORD.
    """

    image: Dataset
    origin_mm: Points
    directions: Points
    spacing_mm: tuple[float, float]
    size: tuple[int, int]

    def to_pixels(self, points_mm: npt.ArrayLike) -> Points:
        """(n, 3) patient LPS mm → (n, 2) (column, row), clipped to the image.

        Pixel edges: the top-left corner of the image is (0, 0), the bottom-right one
        (columns, rows) (PS3.3 C.18.6.1.1, Pixel Origin Interpretation).
        """
        offset = np.asarray(points_mm, dtype=float) - self.origin_mm
        return np.clip(offset @ self.directions.T / self.spacing_mm, 0, self.size)

    @property
    def square(self) -> bool:
        """Whether a circle of the patient is a circle of pixels."""
        columns, rows = self.spacing_mm
        return abs(columns / rows - 1) < SQUARE_TOLERANCE


def source_grid(header: Dataset) -> Grid | None:
    """The grid of a source slice; None where its header does not say it."""
    directions, position = geometry.directions_of(header), geometry.position_of(header)
    spacing = geometry.spacing_of(header)
    if directions is None or position is None or spacing is None:
        return None
    columns_mm, rows_mm = spacing[1], spacing[0]
    half_pixel = (columns_mm * directions[0] + rows_mm * directions[1]) / 2
    size = int(header.Columns), int(header.Rows)
    return Grid(header, position - half_pixel, directions, (columns_mm, rows_mm), size)


def capture_grid(capture: Dataset, plane: Plane) -> Grid:
    """The grid of the capture's anatomy, which shows the whole plane above its banner."""
    rows_mm, columns_mm = (float(value) for value in capture.PixelSpacing)
    size = (
        round(plane.hu.shape[1] * plane.column_spacing_mm / columns_mm),
        round(plane.hu.shape[0] * plane.row_spacing_mm / rows_mm),
    )
    directions = np.array([plane.column_direction, plane.row_direction])
    return Grid(capture, plane.to_mm((-0.5, -0.5)), directions, (columns_mm, rows_mm), size)


def region_builder(screening: Screening, capture: Dataset, sop_class: SopClass) -> RegionOf:
    """How this report says where something is.

    On the source slice (SCOORD) where the plane is one. A reformatted plane is no source
    slice: there the region is given in the frame of reference (SCOORD3D). Comprehensive SR
    has no SCOORD3D, so it gives the region on the capture, the one image in the study that
    shows the plane.
    """
    headers = {str(header.SOPInstanceUID): header for header in screening.headers}

    def region_of(plane: Plane, shape: HipCrop | NeckAttenuation) -> ContentItem:
        source = headers.get(plane.source_sop_uid or "")
        grid = None if source is None else source_grid(source)
        frame_of_reference = geometry.uid_of(screening.headers[0], "FrameOfReferenceUID")
        if grid is None and sop_class == "comprehensive3d" and frame_of_reference:
            return _in_space(plane, shape, frame_of_reference)
        return _on_image(grid or capture_grid(capture, plane), plane, shape)

    return region_of


def _on_image(grid: Grid, plane: Plane, shape: HipCrop | NeckAttenuation) -> ContentItem:
    if isinstance(shape, HipCrop):
        kind, points = "POLYLINE", grid.to_pixels([*shape.corners_mm, shape.corners_mm[0]])
    elif grid.square:
        # CIRCLE is a centre and a point of the circle (PS3.3 C.18.6.1.2).
        edge = np.add(shape.center_mm, shape.radius_mm * grid.directions[0])
        kind, points = "CIRCLE", grid.to_pixels([shape.center_mm, edge])
    else:
        kind, points = "ELLIPSE", grid.to_pixels(_axes_mm(plane, shape))
    item = ScoordContentItem(codes.DCM.ImageRegion, kind, points, relationship_type="CONTAINS")
    item.ContentSequence = ContentSequence(
        [
            ImageContentItem(
                report_codes.SOURCE,
                grid.image.SOPClassUID,
                grid.image.SOPInstanceUID,
                relationship_type="SELECTED FROM",
            )
        ]
    )
    return item


def _in_space(
    plane: Plane, shape: HipCrop | NeckAttenuation, frame_of_reference_uid: str
) -> ContentItem:
    if isinstance(shape, HipCrop):
        kind, points = "POLYGON", np.array([*shape.corners_mm, shape.corners_mm[0]])
    else:
        kind, points = "ELLIPSE", _axes_mm(plane, shape)
    return Scoord3DContentItem(
        codes.DCM.ImageRegion,
        kind,
        points,
        frame_of_reference_uid,
        relationship_type="CONTAINS",
    )


def _axes_mm(plane: Plane, neck: NeckAttenuation) -> Points:
    """Ends of the major, then of the minor axis (PS3.3 C.18.6.1.2 and C.18.9.1.2)."""
    down, right = np.array(plane.row_direction), np.array(plane.column_direction)
    offsets = neck.radius_mm * np.array([-right, right, -down, down])
    return np.asarray(np.asarray(neck.center_mm) + offsets)
