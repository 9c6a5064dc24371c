"""Where a report's outlines lie, by the geometry of the screening, and how far others are off.

Nothing here is read from the report but the hip and the region that a group is about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from tests.support.report_tree import groups, hip_groups, level_of, named, side_of, value
from tests.support.spine_results import by_structure
from worker.pipeline import header_values
from worker.pipeline.plane_layout import Half, lay_out_planes
from worker.pipeline.results import Hip, NeckAttenuation, Screening

Points = npt.NDArray[np.float64]

NECK_OF_FEMUR = "29627003"
MAX_DISTANCE_MM = 3.0
STEP_MM = 0.5


@dataclass(frozen=True)
class Outline:
    """The outline of one group on the image that shows it.

    ``points`` : (n, 3) closed; patient LPS in mm on a source slice, mm from the center of the
    first pixel on the overlay picture, which has no position.
    """

    tracking_uid: str
    image_uid: str
    points: Points


def outlines(screening: Screening, sr: Dataset, overlay: Dataset | None) -> Iterator[Outline]:
    """Yield the outline of each group of a report."""
    hips = {hip.side: hip for hip in screening.hips}
    yield from _of_vertebrae(screening, sr)
    for group in hip_groups(sr):
        hip = hips[side_of(group)]  # type: ignore[index]
        is_neck = value(named(group, "363698007")[0]) == NECK_OF_FEMUR
        outline_mm = hip.neck.outline_mm if is_neck and isinstance(
            hip.neck, NeckAttenuation
        ) else hip.outline_mm  # fmt: skip
        assert outline_mm is not None
        assert hip.plane is not None
        tracking_uid = str(named(group, "112040")[0].UID)
        closed = np.array([*outline_mm, outline_mm[0]], float)
        if hip.plane.source_sop_uid:
            yield Outline(tracking_uid, hip.plane.source_sop_uid, closed)
        else:
            assert overlay is not None
            on_picture = _on_overlay(screening, hip, closed)
            yield Outline(tracking_uid, str(overlay.SOPInstanceUID), on_picture)


def _of_vertebrae(screening: Screening, sr: Dataset) -> Iterator[Outline]:
    """Yield the outlines of the vertebrae on the slices through their centers."""
    lumbar = screening.lumbar
    of_vertebrae = (group for group in groups(sr) if level_of(group))
    for group, (_, region) in zip(of_vertebrae, by_structure(lumbar), strict=True):
        assert lumbar is not None
        center = np.array(region.center_mm)
        header = min(lumbar.headers, key=lambda ds: _off_slice_mm(ds, center))
        points = np.array(region.outline_mm)
        if abs(_normal(header)[2]) < 0.7:
            low, high = points[:, 0].min(), points[:, 0].max()
            slab = ((low, 2.5), (high, 2.5), (high, -2.5), (low, -2.5))
            points = np.array([(x, center[1], center[2] + z) for x, z in slab])
        closed = np.array([*points, points[0]])
        uid = str(named(group, "112040")[0].UID)
        yield Outline(uid, str(header.SOPInstanceUID), closed)


def _normal(header: Dataset) -> Points:
    right, down = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
    return np.cross(right, down)


def _off_slice_mm(header: Dataset, point_mm: Points) -> float:
    position = np.array(header.ImagePositionPatient, float)
    return abs(float(_normal(header) @ (point_mm - position)))


def distance_mm(points: Points, outline: Outline) -> float:
    """Return the largest distance of one outline from the other, in both directions."""
    one, other = _dense(np.asarray(points, float)), _dense(outline.points)
    between = np.linalg.norm(one[:, None] - other[None], axis=-1)
    return float(max(between.min(axis=1).max(), between.min(axis=0).max()))


def image_planes(screening: Screening, overlay: Dataset | None) -> dict[str, dict[str, object]]:
    """Return cornerstone's ``imagePlaneModule`` of each image, by "SOP Instance UID:frame"."""
    planes = {}
    for header in screening.all_headers:
        frame = header_values.frame_of(header) or 1
        key = f"{header.SOPInstanceUID}:{frame}"
        planes[key] = _image_plane(
            [float(v) for v in header.ImageOrientationPatient],
            [float(v) for v in header.ImagePositionPatient],
            [float(v) for v in header.PixelSpacing],
        )
    if overlay is not None:
        spacing = [float(v) for v in overlay.PixelSpacing]
        planes[f"{overlay.SOPInstanceUID}:1"] = _image_plane(
            [1, 0, 0, 0, 1, 0], [0, 0, 0], spacing
        )
    return planes


def _image_plane(
    directions: list[float], position: list[float], spacing: list[float]
) -> dict[str, object]:
    return {
        "rowCosines": directions[:3],
        "columnCosines": directions[3:],
        "imagePositionPatient": position,
        # Exchanged: the function that places outlines takes one for the other (cornerstone3D
        # issue 2758), which shows on pixels that are not square.
        "rowPixelSpacing": spacing[1],
        "columnPixelSpacing": spacing[0],
        "frameOfReferenceUID": "",
    }


def _on_overlay(screening: Screening, hip: Hip, closed: Points) -> Points:
    half = _half_of(screening, hip)
    rows, columns = (half.to_picture(half.plane.to_index(closed) + 0.5) - 0.5).T
    rows_mm, columns_mm = half.spacing_mm
    return np.column_stack([columns * columns_mm, rows * rows_mm, np.zeros(len(rows))])


def _half_of(screening: Screening, hip: Hip) -> Half:
    halves = lay_out_planes(screening.hips).halves
    return next(half for half in halves if half.hip.side == hip.side)


def _dense(points: Points) -> Points:
    """Return points along the polygon, at most ``STEP_MM`` apart."""
    parts = []
    for start, end in pairwise(points):
        count = max(1, int(np.ceil(np.linalg.norm(end - start) / STEP_MM)))
        parts.append(start + (end - start) * np.arange(count)[:, None] / count)
    return np.concatenate(parts)
