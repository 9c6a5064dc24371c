"""The image library of the SR, and the source slices that a reader should open first."""

from highdicom.sr import UIDRefContentItem
from highdicom.sr.value_types import ContentItem
from pydicom import Dataset
from pydicom.sr.codedict import codes

from worker.pipeline import geometry, report_codes
from worker.pipeline.report_items import ACQUISITION, CONTAINS, code, container, image, number
from worker.pipeline.results import PointMm, Screening


def image_library(screening: Screening) -> ContentItem:
    """TID 1600: the source slices that a reader should open first."""
    return container(
        codes.DCM.ImageLibrary,
        container(
            codes.DCM.ImageLibraryGroup,
            *_image_descriptors(screening.headers[0]),
            *(image(report_codes.SOURCE, header) for header in key_slices(screening)),
            relationship=CONTAINS,
        ),
        relationship=CONTAINS,
    )


def key_slices(screening: Screening) -> list[Dataset]:
    """The slice of each graded hip's plane, or the one nearest to its neck where the plane
    was reformatted across slices; the middle one where no hip is graded."""
    slices = {
        (str(header.SOPInstanceUID), geometry.frame_of(header)): header
        for header in screening.headers
    }
    chosen: dict[int, Dataset] = {}
    for hip in screening.hips:
        if hip.plane is None or hip.femur is None or hip.grade is None:
            continue
        header = slices.get((hip.plane.source_sop_uid or "", hip.plane.source_frame))
        if header is None:
            header = _nearest_slice(screening, hip.femur.neck_mm)
        chosen[id(header)] = header
    return list(chosen.values()) or [screening.headers[len(screening.headers) // 2]]


def _nearest_slice(screening: Screening, point_mm: PointMm) -> Dataset:
    headers = screening.headers
    directions = geometry.directions_of(headers[0])
    if directions is None:
        return headers[0]
    normal = geometry.normal_of(directions)
    distances = geometry.distances_along(headers, normal)
    if distances is None:
        return headers[0]
    return headers[int(abs(distances - normal @ point_mm).argmin())]


def _image_descriptors(header: Dataset) -> list[ContentItem]:
    """TID 1602 and 1604, once for all images of the group, as far as the source says it."""
    items = [code(codes.DCM.Modality, codes.DCM.ComputedTomography, ACQUISITION)]
    if uid := geometry.uid_of(header, "FrameOfReferenceUID"):
        items.append(UIDRefContentItem(codes.DCM.FrameOfReferenceUID, uid, ACQUISITION))
    spacing = geometry.spacing_of(header) or (None, None)
    numbers = (
        (codes.DCM.PixelDataRows, geometry.number_of(header, "Rows"), report_codes.PIXELS),
        (
            codes.DCM.PixelDataColumns,
            geometry.number_of(header, "Columns"),
            report_codes.PIXELS,
        ),
        (codes.DCM.HorizontalPixelSpacing, spacing[1], codes.UCUM.Millimeter),
        (codes.DCM.VerticalPixelSpacing, spacing[0], codes.UCUM.Millimeter),
        (
            codes.DCM.SliceThickness,
            geometry.number_of(header, "SliceThickness"),
            codes.UCUM.Millimeter,
        ),
    )
    return items + [
        number(name, value, unit, ACQUISITION)
        for name, value, unit in numbers
        if value is not None
    ]
