"""CT files of a screening of the phantom, for viewers that open the whole study."""

from collections.abc import Iterator
from copy import deepcopy

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from tests.support.hip_phantom import phantom_hu
from worker.pipeline.results import Screening


def ct_images(screening: Screening) -> Iterator[Dataset]:
    """Yield every slice of the used series with its pixels, as the scanner sent it."""
    by_series: dict[str, list[Dataset]] = {}
    for header in screening.headers:
        by_series.setdefault(str(header.SeriesInstanceUID), []).append(header)
    for headers in by_series.values():
        for header, hu in zip(headers, phantom_hu(tuple(headers)), strict=True):
            image = deepcopy(header)
            image.file_meta = FileMetaDataset()
            image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            image.SOPClassUID = CTImageStorage
            image.SamplesPerPixel = 1
            image.PhotometricInterpretation = "MONOCHROME2"
            image.BitsAllocated = image.BitsStored = 16
            image.HighBit, image.PixelRepresentation = 15, 1
            image.WindowCenter, image.WindowWidth = 500, 2000
            image.PixelData = hu.astype("<i2").tobytes()
            yield image
