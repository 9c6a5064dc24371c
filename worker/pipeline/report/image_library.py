"""The image library of the SR."""

from collections.abc import Sequence

from highdicom.sr import UIDRefContentItem
from highdicom.sr.value_types import ContentItem
from pydicom import Dataset
from pydicom.sr.codedict import codes

from worker.pipeline import header_values
from worker.pipeline.image_numbers import lumbar_slice, neck_slice, source_slice
from worker.pipeline.report import codes as report_codes
from worker.pipeline.report.items import ACQUISITION, CONTAINS, code, container, image
from worker.pipeline.results import Screening


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
    headers = (
        ds for ds in screening.all_headers if ds.SeriesInstanceUID == series_instance_uid
    )
    return container(
        codes.DCM.ImageLibraryGroup,
        *_image_descriptors(next(headers)),
        *(image(report_codes.SOURCE, header) for header in key_headers),
        relationship=CONTAINS,
    )


def key_slices(screening: Screening) -> list[Dataset]:
    """Return the source slices that a reader should open first.

    The slice of each graded hip's plane, or the one through its neck where the plane was
    reformatted across slices; the one through each measured vertebra; the middle one where
    there is neither.
    """
    chosen: dict[int, Dataset] = {}
    for hip in screening.hips:
        if hip.plane is None or hip.grade is None:
            continue
        header = source_slice(screening.headers, hip.plane) or neck_slice(screening, hip)
        if header is not None:
            chosen[id(header)] = header
    if (lumbar := screening.lumbar) is not None:
        for region in lumbar.regions:
            header = lumbar_slice(lumbar, region)
            chosen[id(header)] = header
    return list(chosen.values()) or [screening.headers[len(screening.headers) // 2]]


def _image_descriptors(header: Dataset) -> list[ContentItem]:
    """Return what TID 1602 describes of all images of the group.

    The optional rows repeat the header of the images, and are left out for the reader's sake.
    """
    items = [code(codes.DCM.Modality, codes.DCM.ComputedTomography, ACQUISITION)]
    if uid := header_values.uid_of(header, "FrameOfReferenceUID"):
        items.append(UIDRefContentItem(codes.DCM.FrameOfReferenceUID, uid, ACQUISITION))
    return items
