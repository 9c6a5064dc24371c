"""CT files of a screening of the phantom, for viewers that open the whole study."""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from tests.support.hip_phantom import phantom_hu
from worker.pipeline.results import Screening

PER_FRAME = ("ImagePositionPatient", "ReferencedFrameNumber")
SHARED = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth"),
}


def ct_images(screening: Screening) -> Iterator[Dataset]:
    """Yield every slice of the used series with its pixels; frames of one object as one."""
    by_series: dict[str, list[Dataset]] = {}
    for header in screening.all_headers:
        by_series.setdefault(str(header.SeriesInstanceUID), []).append(header)
    for headers in by_series.values():
        hu = phantom_hu(tuple(headers))
        if headers[0].SOPClassUID != CTImageStorage:
            yield _frames(headers, hu)
        else:
            yield from map(_image, headers, hu)


def _image(header: Dataset, hu: npt.NDArray[np.int16]) -> Dataset:
    image = deepcopy(header)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 1
    image.WindowCenter, image.WindowWidth = 500, 2000
    image.add_new("PixelData", "OW", hu.astype("<i2").tobytes())
    return image


def _frames(headers: list[Dataset], hu: npt.NDArray[np.int16]) -> Dataset:
    """Return one multi-frame image with the geometry in functional groups."""
    image = _image(headers[0], hu)
    image.NumberOfFrames = len(headers)
    image.InstanceNumber = 1
    shared = Dataset()
    for sequence, keywords in SHARED.items():
        setattr(shared, sequence, [_moved(image, keywords)])
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = [_frame(header) for header in headers]
    for keyword in PER_FRAME:
        if keyword in image:
            del image[keyword]
    return image


def _moved(image: Dataset, keywords: tuple[str, ...]) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        if keyword in image:
            item[keyword] = image[keyword]
            del image[keyword]
    return item


def _frame(header: Dataset) -> Dataset:
    position, frame = Dataset(), Dataset()
    position.ImagePositionPatient = header.ImagePositionPatient
    frame.PlanePositionSequence = [position]
    return frame
