"""Rules for the outlines in our SR: their number, form, area and place.

The rules do not use code of the report builder, only codes of the standard and geometry.
"""

from collections.abc import Iterator

import numpy as np
from pydicom import Dataset

from tests.support.report_tree import groups, level_of, named
from tests.support.spine_results import by_structure
from worker.pipeline.results import Screening

MIN_POINTS = 9


def region_violations(
    sr: Dataset, capture: Dataset | None, screening: Screening
) -> Iterator[str]:
    """Yield the violated rules for outlines: one a group, closed, inside its image."""
    sizes = {str(h.SOPInstanceUID): (h.Columns, h.Rows) for h in screening.all_headers}
    if capture is not None:
        sizes[str(capture.SOPInstanceUID)] = (capture.Columns, capture.Rows)
    for group in groups(sr):
        regions = named(group, "111030")
        if len(regions) != 1:
            yield "a group without exactly one region"
        for region in regions:
            dimensions = 3 if region.ValueType == "SCOORD3D" else 2
            points = np.reshape(region.GraphicData, (-1, dimensions))
            if len(points) < MIN_POINTS:
                yield "an outline of so few points that OHIF takes it for a rectangle"
            if region.GraphicType in ("POLYLINE", "POLYGON") and not np.allclose(
                points[0], points[-1]
            ):
                yield "an open outline"
            if dimensions == 2:
                limits = np.array(sizes[_image_uid(region)]) + 1e-3
                if (points < 0).any() or (points > limits).any():
                    yield "a point outside the image"


def area_violations(
    sr: Dataset, capture: Dataset | None, screening: Screening
) -> Iterator[str]:
    """Yield where attenuation lacks its deviation, or the area is not that of the outline."""
    captures = () if capture is None else (capture,)
    images = {str(h.SOPInstanceUID): h for h in (*screening.all_headers, *captures)}
    for group in groups(sr):
        means, deviations = named(group, "112181"), named(group, "112183")
        areas, regions = named(group, "42798000"), named(group, "111030")
        if not len(means) == len(deviations) == len(areas) <= 1:
            yield "attenuation without its deviation or area"
        for area, region in zip(areas, regions, strict=False):
            if level_of(group) and not _is_axial(images[_image_uid(region)]):
                continue  # the area is that of the ellipse, the outline its section
            area_mm2 = float(area.MeasuredValueSequence[0].NumericValue)
            # 32 points of an ellipse enclose 0.6 % less than it.
            allowed = 0.01 * area_mm2 if level_of(group) else 0.2
            if abs(area_mm2 - _area_mm2(region, images)) > allowed:
                yield "an area that is not that of the outline"


def _is_axial(header: Dataset) -> bool:
    across = np.cross(*np.reshape(header.ImageOrientationPatient, (2, 3)))
    return bool(abs(across[2]) > 0.7)


def _area_mm2(region: Dataset, images: dict[str, Dataset]) -> float:
    """Return the area of a planar outline: half the norm of the summed cross products."""
    if region.ValueType == "SCOORD3D":
        points = np.reshape(region.GraphicData, (-1, 3))
    else:
        row_mm, column_mm = (float(v) for v in images[_image_uid(region)].PixelSpacing)
        flat = np.reshape(region.GraphicData, (-1, 2)) * (column_mm, row_mm)
        points = np.column_stack([flat, np.zeros(len(flat))])
    points = points - points[0]
    return float(np.linalg.norm(np.cross(points[:-1], points[1:]).sum(axis=0)) / 2)


def vertebra_violations(sr: Dataset, screening: Screening) -> Iterator[str]:
    """Yield where a measured vertebra lacks its group, value or place on the central slice."""
    found = [group for group in groups(sr) if level_of(group)]
    measured = by_structure(screening.lumbar)
    if [level_of(group) for group in found] != [structure for structure, _ in measured]:
        yield "the groups of vertebrae are not those that were measured"
        return
    images = {str(header.SOPInstanceUID): header for header in screening.all_headers}
    for group, (structure, region) in zip(found, measured, strict=True):
        words = [item.TextValue for item in named(group, "121106")]
        if structure == "lumbar" and not any("Level uncertain" in text for text in words):
            yield "a vertebra of an uncertain level does not say so"
        (mean,) = named(group, "112181")
        if abs(float(mean.MeasuredValueSequence[0].NumericValue) - region.mean_hu) > 1e-3:
            yield "the attenuation of a vertebra is another one"
        for outline in named(group, "111030"):
            header = images[_image_uid(outline)]
            off = np.subtract(_center_mm(outline, header), region.center_mm)
            if np.abs(off).max() > max(3.0, float(header.SliceThickness) / 2 + 0.5):
                yield "the outline of a vertebra lies elsewhere"


def _center_mm(outline: Dataset, header: Dataset) -> np.ndarray:
    """Return the middle of an outline on a source slice, patient LPS mm."""
    points = np.reshape(outline.GraphicData, (-1, 2))
    column, row = (points.min(axis=0) + points.max(axis=0)) / 2 - 0.5
    right, down = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
    row_mm, column_mm = (float(v) for v in header.PixelSpacing)
    origin = np.array(header.ImagePositionPatient, float)
    return np.asarray(origin + column * column_mm * right + row * row_mm * down)


def center_x_mm(region: Dataset, headers: dict[str, Dataset]) -> float | None:
    """Return x of the middle of an outline, LPS mm; None where it is not on a source."""
    if region.ValueType == "SCOORD3D":
        return float(np.mean(np.reshape(region.GraphicData, (-1, 3))[:-1, 0]))
    header = headers.get(_image_uid(region))
    if header is None:
        return None
    column = np.reshape(region.GraphicData, (-1, 2))[:-1, 0].mean()
    column_mm = (column - 0.5) * float(header.PixelSpacing[1])
    return float(header.ImagePositionPatient[0] + header.ImageOrientationPatient[0] * column_mm)


def _image_uid(region: Dataset) -> str:
    return str(region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
