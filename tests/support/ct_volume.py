"""CT series from arrays of HU, in any geometry and with header faults."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from worker.pipeline import header_values, load
from worker.pipeline.header_values import require
from worker.pipeline.volume import Series, Volume

Point = tuple[float, float, float]

CORONAL: tuple[Point, Point] = ((1, 0, 0), (0, 0, -1))
AXIAL: tuple[Point, Point] = ((1, 0, 0), (0, 1, 0))
SAGITTAL: tuple[Point, Point] = ((0, 1, 0), (0, 0, -1))


def ct_headers(
    count: int,
    *,
    size: tuple[int, int] = (8, 6),
    directions: tuple[Point, Point] = CORONAL,
    origin: Point = (0.0, 0.0, 0.0),
    step: Point | None = None,
    spacing: tuple[float, float] = (0.8, 0.8),
    **elements: Any,
) -> list[Dataset]:
    """Return data sets without pixels.

    ``step`` : from slice to slice, default 3 mm along the normal. ``elements`` : pydicom
    keywords that replace or, with None, remove elements.
    """
    normal = np.cross(*np.array(directions, float))
    offset = 3.0 * normal if step is None else np.array(step)
    uids = {name: generate_uid() for name in ("Study", "Series", "FrameOfReference")}
    headers = []
    for index in range(count):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uids["Study"], uids["Series"]
        ds.FrameOfReferenceUID = uids["FrameOfReference"]
        ds.Modality, ds.PatientID, ds.PatientAge = "CT", "P1", "064Y"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ImagePositionPatient = [float(v) for v in np.array(origin) + index * offset]
        ds.ImageOrientationPatient = [float(v) for direction in directions for v in direction]
        ds.PixelSpacing = list(spacing)
        ds.Rows, ds.Columns = size
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 1
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        for keyword, value in elements.items():
            alter(ds, keyword, value)
        headers.append(ds)
    return headers


def alter(ds: Dataset, keyword: str, value: Any) -> None:
    """Set an element without validation; None removes it."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    if value is None:
        ds.pop(tag, None)
    else:
        ds[tag] = DataElement(tag, dictionary_VR(tag)[:2], value, already_converted=True)


def write_ct(
    folder: Path,
    hu: npt.NDArray[np.integer],
    *,
    order: Sequence[int] | None = None,
    compress: str | None = None,
    change: Callable[[int, Dataset], None] | None = None,
    **geometry: Any,
) -> list[Path]:
    """Write (slices, rows, columns) HU as files.

    ``order`` : slices in the order of the file names. ``compress`` : transfer syntax UID.
    ``change(index, ds)`` : modifies an instance before it is written. Stored values are
    HU + 1024, so that the rescale intercept matters.
    """
    folder.mkdir(parents=True, exist_ok=True)
    headers = ct_headers(len(hu), size=(hu.shape[1], hu.shape[2]), **geometry)
    paths = []
    for number, index in enumerate(order if order is not None else range(len(hu))):
        ds = headers[index]
        ds.InstanceNumber = number + 1
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.PixelData = (hu[index] + 1024).astype("<i2").tobytes()
        if compress:
            ds.compress(compress, generate_instance_uid=False)
        if change:
            change(index, ds)
        path = folder / f"{number:03d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def sorted_series(headers: Sequence[Dataset]) -> Series:
    """Return a series without pixels, its headers sorted along their normal."""
    directions = require(header_values.directions_of(headers[0]))
    distances = require(
        header_values.distances_along(headers, header_values.normal_of(directions))
    )
    ordered = tuple(headers[i] for i in np.argsort(distances, kind="stable"))
    return Series("1.2", (), ordered, header_values.orientation_of(directions))


def read_series(paths: Iterable[Path]) -> Series:
    """Read the headers of a series that the loader must accept."""
    series = load.read_series(paths)
    assert isinstance(series, Series), series
    return series


def load_series(paths: Iterable[Path]) -> tuple[Series, Volume]:
    """Read headers and pixels of a series that the loader must accept."""
    series = read_series(paths)
    volume = load.read_volume(series)
    assert isinstance(volume, Volume), volume
    return series, volume


def load_volume(paths: Iterable[Path]) -> Volume:
    """Read a series that the loader must accept."""
    return load_series(paths)[1]


def ramp(count: int = 12, rows: int = 8, columns: int = 6) -> npt.NDArray[np.int16]:
    """Return HU that identify slice, row and column."""
    index = np.indices((count, rows, columns))
    return (index[0] * 50 + index[1] * 5 + index[2] - 300).astype(np.int16)
