"""Image numbers of source slices, as viewers count them."""

from collections.abc import Sequence

from pydicom import Dataset

from worker.pipeline import header_values
from worker.pipeline.lumbar_results import LumbarMeasurements, Region
from worker.pipeline.results import Hip, Screening
from worker.pipeline.volume import Plane, PointMm


def image_number(headers: Sequence[Dataset], header: Dataset) -> int:
    """Return the number, from 1, of a slice among the headers of its series.

    Viewers sort by Instance Number, and slices without one by position; the frames of a
    multi-frame instance keep their order.
    """

    def key(index: int) -> tuple[float, str, int]:
        number = header_values.number_of(headers[index], "InstanceNumber")
        frame = header_values.frame_of(headers[index])
        instance = "" if frame is None else str(headers[index].SOPInstanceUID)
        order = index if frame is None else frame
        return (float("inf") if number is None else number, instance, order)

    ordered = sorted(range(len(headers)), key=key)
    return 1 + next(n for n, index in enumerate(ordered) if headers[index] is header)


def source_slice(headers: Sequence[Dataset], plane: Plane) -> Dataset | None:
    """Return the slice that a plane is, None for a reformatted plane."""
    if plane.source_sop_uid is None:
        return None
    for header in headers:
        frame = header_values.frame_of(header)
        if (str(header.SOPInstanceUID), frame) == (plane.source_sop_uid, plane.source_frame):
            return header
    return None


def neck_slice(screening: Screening, hip: Hip) -> Dataset | None:
    """Return the source slice through the neck of a hip on a reformatted plane.

    None where the plane is a source slice itself, or where the hip has none.
    """
    if hip.plane is None or hip.femur is None:
        return None
    headers = screening.headers_of(hip)
    if source_slice(headers, hip.plane) is not None:
        return None
    return _nearest_slice(headers, hip.femur.neck_mm)


def image_of(screening: Screening, hip: Hip) -> int | None:
    """Return the number of the image that a hip's plane is, or of that through its neck."""
    if hip.plane is None:
        return None
    headers = screening.headers_of(hip)
    header = source_slice(headers, hip.plane) or neck_slice(screening, hip)
    return None if header is None else image_number(headers, header)


def lumbar_slice(lumbar: LumbarMeasurements, region: Region) -> Dataset:
    """Return the source slice nearest to the center of a region of the lumbar spine."""
    return _nearest_slice(lumbar.headers, region.center_mm)


def _nearest_slice(headers: Sequence[Dataset], point_mm: PointMm) -> Dataset:
    directions = header_values.directions_of(headers[0])
    if directions is None:
        return headers[0]
    normal = header_values.normal_of(directions)
    distances = header_values.distances_along(headers, normal)
    if distances is None:
        return headers[0]
    return headers[int(abs(distances - normal @ point_mm).argmin())]
