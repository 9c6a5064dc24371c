"""CT instances for tests of intake, with small random pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

# These values must not appear in a log.
PATIENT_NAME = "Doe^Walburga"
PATIENT_ID = "PID-4711-XYZ"
PATIENT_BIRTH_DATE = "19470403"


def ct_instance(*, number: int = 1, size: int = 16, **elements: Any) -> Dataset:
    """Return a CT Image Storage data set; ``elements`` set keywords, None removes one."""
    ds = Dataset()
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID = generate_uid()
    ds.SeriesInstanceUID = generate_uid()
    ds.Modality = "CT"
    ds.PatientName = PATIENT_NAME
    ds.PatientID = PATIENT_ID
    ds.PatientBirthDate = PATIENT_BIRTH_DATE
    ds.PatientSex = "F"
    ds.PatientAge = "079Y"
    ds.PatientSize = "1.58"
    ds.PatientWeight = "61.5"
    ds.StudyDate = "20260402"
    ds.StudyTime = "101500"
    ds.StudyID = "1"
    ds.AccessionNumber = "A-1"
    ds.ReferringPhysicianName = ""
    ds.Manufacturer = "Example"
    ds.ManufacturerModelName = "Scanner"
    ds.ConvolutionKernel = "B30f"
    ds.KVP = "120"
    ds.SliceThickness = "3"
    ds.SeriesNumber = 2
    ds.InstanceNumber = number
    ds.ImageType = ["DERIVED", "SECONDARY", "MPR"]
    ds.ImagePositionPatient = [0, 3.0 * number, 0]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    ds.PixelSpacing = [0.9, 0.9]
    ds.FrameOfReferenceUID = generate_uid()
    ds.Rows = ds.Columns = size
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 1
    ds.RescaleIntercept = "-1024"
    ds.RescaleSlope = "1"
    rng = np.random.default_rng(number)
    ds.PixelData = rng.integers(0, 2000, (size, size), dtype=np.int16).tobytes()
    for keyword, value in elements.items():
        if tag_for_keyword(keyword) is None:
            raise TypeError(f"not a DICOM keyword: {keyword}")
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    return ds


def ct_series(count: int, **elements: Any) -> list[Dataset]:
    """Return instances of one series."""
    uids = {
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
    }
    return [ct_instance(number=n, **{**uids, **elements}) for n in range(1, count + 1)]


def encode(ds: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """Encode a data set without File Meta Information, not deflated."""
    encoded = DicomBytesIO()
    encoded.is_implicit_VR = transfer_syntax_uid == ImplicitVRLittleEndian
    encoded.is_little_endian = transfer_syntax_uid != ExplicitVRBigEndian
    write_dataset(encoded, ds)
    return encoded.getvalue()


def write_files(
    instances: Sequence[Dataset],
    folder: Path,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> list[Path]:
    """Write instances as DICOM files, named by number; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, ds in enumerate(instances):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = ds.SOPClassUID
        meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        meta.TransferSyntaxUID = transfer_syntax_uid
        ds.file_meta = meta
        path = folder / f"{index:04d}.dcm"
        dcmwrite(path, ds, enforce_file_format=True)
        paths.append(path)
    return paths
