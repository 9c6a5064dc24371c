"""The image library of the SR."""

from collections.abc import Sequence

from highdicom.sr import UIDRefContentItem
from highdicom.sr.value_types import ContentItem
from pydicom import Dataset
from pydicom.sr.codedict import codes

from worker.pipeline import header_values
from worker.pipeline.report import codes as report_codes
from worker.pipeline.report.items import ACQUISITION, CONTAINS, code, container, image, number
from worker.pipeline.results import Screening
from worker.pipeline.volume import PointMm


def image_library(screening: Screening) -> ContentItem:
    """Return TID 1600 with the key slices, in one group a series."""
    groups: dict[str, list[Dataset]] = {}
    for header in key_slices(screening):
        groups.setdefault(str(header.SeriesInstanceUID), []).append(header)
    return container(
        codes.DCM.ImageLibrary,
        *(_group(screening, uid, headers) for uid, headers in groups.items()),
        relationship=CONTAINS,
    )


def _group(
    screening: Screening, series_instance_uid: str, key_headers: Sequence[Dataset]
) -> ContentItem:
    """Return the key slices of one series with what its first slice describes of all."""
    headers = (ds for ds in screening.headers if ds.SeriesInstanceUID == series_instance_uid)
    return container(
        codes.DCM.ImageLibraryGroup,
        *_image_descriptors(next(headers)),
        *(image(report_codes.SOURCE, header) for header in key_headers),
        relationship=CONTAINS,
    )


def key_slices(screening: Screening) -> list[Dataset]:
    """Return the source slices that a reader should open first.

    The slice of each graded hip's plane, or the one nearest to its neck where the plane was
    reformatted across slices; the middle one where no hip is graded.
    """
    slices = {
        (str(header.SOPInstanceUID), header_values.frame_of(header)): header
        for header in screening.headers
    }
    chosen: dict[int, Dataset] = {}
    for hip in screening.hips:
        if hip.plane is None or hip.femur is None or hip.grade is None:
            continue
        header = slices.get((hip.plane.source_sop_uid or "", hip.plane.source_frame))
        if header is None:
            header = _nearest_slice(screening.headers_of(hip), hip.femur.neck_mm)
        chosen[id(header)] = header
    return list(chosen.values()) or [screening.headers[len(screening.headers) // 2]]


def _nearest_slice(headers: Sequence[Dataset], point_mm: PointMm) -> Dataset:
    directions = header_values.directions_of(headers[0])
    if directions is None:
        return headers[0]
    normal = header_values.normal_of(directions)
    distances = header_values.distances_along(headers, normal)
    if distances is None:
        return headers[0]
    return headers[int(abs(distances - normal @ point_mm).argmin())]


def _image_descriptors(header: Dataset) -> list[ContentItem]:
    """Return TID 1602 and 1604 for all images of the group, where the source states them."""
    items = [code(codes.DCM.Modality, codes.DCM.ComputedTomography, ACQUISITION)]
    if uid := header_values.uid_of(header, "FrameOfReferenceUID"):
        items.append(UIDRefContentItem(codes.DCM.FrameOfReferenceUID, uid, ACQUISITION))
    spacing = header_values.spacing_of(header) or (None, None)
    numbers = (
        (codes.DCM.PixelDataRows, header_values.number_of(header, "Rows"), report_codes.PIXELS),
        (
            codes.DCM.PixelDataColumns,
            header_values.number_of(header, "Columns"),
            report_codes.PIXELS,
        ),
        (codes.DCM.HorizontalPixelSpacing, spacing[1], codes.UCUM.Millimeter),
        (codes.DCM.VerticalPixelSpacing, spacing[0], codes.UCUM.Millimeter),
        (
            codes.DCM.SliceThickness,
            header_values.number_of(header, "SliceThickness"),
            codes.UCUM.Millimeter,
        ),
    )
    return items + [
        number(name, value, unit, ACQUISITION)
        for name, value, unit in numbers
        if value is not None
    ]
