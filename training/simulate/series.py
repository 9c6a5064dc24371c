"""DICOM files of a simulated series: CT Image Storage, byte-identical for the same seed."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from training.simulate.acquisition import Acquisition
from training.simulate.scanner import render
from training.simulate.subject import Subject

NAMESPACE = uuid.UUID("6f1c9a52-9a0e-5d0b-8a59-0f5a3d1f6b27")
KERNELS = {"soft": "SOFT", "standard": "STANDARD", "bone": "BONE", "sharp": "EDGE"}
AIR_STORED = -1024
BATCH = 16
"""Number of slices rendered together, which limits memory and the steps of progress."""


def derive_uid(*parts: object) -> str:
    """Return a UUID-derived UID (PS3.5 B.2) that depends on the parts only.

    The parts enter by ``str``: a renamed class or field of a dataclass changes the UID.
    """
    return f"2.25.{uuid.uuid5(NAMESPACE, '|'.join(map(str, parts))).int}"


def write_series(
    subject: Subject,
    acquisition: Acquisition,
    out_dir: Path,
    *,
    patient: int = 1,
    header: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Render and write IM0001.dcm … into ``out_dir`` (created if missing), in slice order.

    ``patient`` numbers the name (SIM^0001); the ID follows the subject's seed. ``header`` :
    pydicom keywords that replace or, with None, remove elements of every instance.
    """
    return list(iter_series(subject, acquisition, out_dir, patient=patient, header=header))


def iter_series(
    subject: Subject,
    acquisition: Acquisition,
    out_dir: Path,
    *,
    patient: int = 1,
    header: Mapping[str, Any] | None = None,
    slices: Iterable[int] | None = None,
) -> Iterator[Path]:
    """Yield the paths of ``write_series`` one by one; ``slices`` limits the slices written."""
    out_dir.mkdir(parents=True, exist_ok=True)
    base = _base(subject, acquisition, patient)
    indices = list(range(acquisition.slices) if slices is None else slices)
    for start in range(0, len(indices), BATCH):
        batch = indices[start : start + BATCH]
        for index, hu in zip(batch, render(subject, acquisition, batch), strict=True):
            ds = _instance(base, subject, acquisition, index)
            _set_pixels(ds, hu, acquisition)
            replace_elements(ds, header or {})
            yield save(ds, out_dir / f"IM{index + 1:04d}.dcm")


def replace_elements(ds: Dataset, header: Mapping[str, Any]) -> None:
    """Set elements by keyword; None removes one."""
    for keyword, value in header.items():
        if value is None:
            ds.pop(keyword, None)
        else:
            setattr(ds, keyword, value)


def save(ds: Dataset, path: Path) -> Path:
    """Write one instance as a DICOM file (PS3.10), explicit VR little endian."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = derive_uid("implementation")
    ds.save_as(path, enforce_file_format=True)
    return path


def _number(value: float) -> str:
    """Return a decimal string of at most 16 characters (PS3.5 6.2, VR DS)."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _base(subject: Subject, acquisition: Acquisition, patient: int) -> Dataset:
    """Return the elements that all instances of the series share."""
    study = derive_uid("study", subject.seed)
    series = derive_uid("series", subject.seed, acquisition)
    day = date(2023, 1, 1) + timedelta(days=subject.seed % 700)
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = _image_type(acquisition)
    ds.SOPClassUID = CTImageStorage
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(ds, keyword, day.strftime("%Y%m%d"))
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
        setattr(ds, keyword, "101500")
    ds.AccessionNumber = f"S{subject.seed:010d}"
    ds.Modality = "CT"
    ds.Manufacturer = "osteoscreen"
    ds.ManufacturerModelName = "simulated CT"
    ds.SoftwareVersions = "1"
    ds.DeviceSerialNumber = "0"
    ds.InstitutionName = "Simulated"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "CT ABDOMEN PELVIS (simulated)"
    ds.SeriesDescription = (
        f"{acquisition.plane} {_number(acquisition.thickness_mm)} mm, simulated"
    )
    ds.ImageComments = "Simulated image, no patient"
    ds.PatientName = f"SIM^{patient:04d}"
    ds.PatientID = f"SIM{subject.seed:010d}"
    ds.PatientBirthDate = ""
    ds.PatientSex = subject.sex
    ds.PatientAge = f"{subject.age_years:03d}Y"
    ds.PatientSize = _number(subject.height_m)
    ds.PatientWeight = _number(subject.weight_kg)
    ds.StudyInstanceUID = study
    ds.SeriesInstanceUID = series
    ds.FrameOfReferenceUID = derive_uid("frame", subject.seed)
    ds.StudyID = "1"
    ds.SeriesNumber = {"axial": 2, "coronal": 3, "sagittal": 4}[acquisition.plane]
    ds.AcquisitionNumber = 1
    _scan(ds, subject, acquisition)
    return ds


def _image_type(acquisition: Acquisition) -> list[str]:
    if acquisition.plane == "axial":
        return ["ORIGINAL", "PRIMARY", "AXIAL"]
    # Value 3 of a CT image is AXIAL or LOCALIZER (PS3.3 C.8.2.1.1.1). One large vendor follows
    # this and names a reformat in value 4, another writes REFORMATTED; both occur here.
    if acquisition.seed % 2:
        return ["DERIVED", "SECONDARY", "AXIAL", "MPR"]
    return ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]


def _scan(ds: Dataset, subject: Subject, acquisition: Acquisition) -> None:
    pose = subject.pose
    ds.BodyPartExamined = "ABDOMENPELVIS" if acquisition.side is None else "HIP"
    ds.PatientPosition = ("FF" if pose.feet_first else "HF") + ("P" if pose.prone else "S")
    ds.PositionReferenceIndicator = ""
    ds.KVP = str(acquisition.kvp)
    ds.ConvolutionKernel = KERNELS[acquisition.kernel]
    ds.SliceThickness = _number(acquisition.thickness_mm)
    ds.SpacingBetweenSlices = _number(acquisition.increment_mm)
    ds.ReconstructionDiameter = _number(acquisition.pixel_mm * acquisition.columns)
    ds.ProtocolName = "Simulated abdomen"
    if subject.body.contrast_hu > 0:
        ds.ContrastBolusAgent = "Iodinated, simulated"
        ds.ContrastBolusRoute = "IV"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = acquisition.rows, acquisition.columns
    ds.PixelSpacing = [_number(acquisition.pixel_mm)] * 2
    ds.RescaleSlope, ds.RescaleType = "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "50", "400"
    # Scanners use two encodings: 12 bits above −1024 HU, and signed 16 bits.
    signed = acquisition.seed % 3 == 0
    ds.BitsAllocated = 16
    ds.BitsStored = 16 if signed else 12
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(signed)
    ds.RescaleIntercept = "0" if signed else str(AIR_STORED)


def _instance(base: Dataset, subject: Subject, acquisition: Acquisition, index: int) -> Dataset:
    ds = Dataset()
    ds.update(base)
    affine = acquisition.affine()
    steps = acquisition.directions()
    position = affine[:3, 3] + affine[:3, 0] * index
    ds.SOPInstanceUID = derive_uid("instance", subject.seed, base.SeriesInstanceUID, index)
    ds.InstanceNumber = index + 1
    ds.ImagePositionPatient = [_number(value) for value in position]
    # PS3.3 C.7.6.2.1.1: direction of a row (along the columns) first.
    ds.ImageOrientationPatient = [_number(v) for v in (*steps[:, 2], *steps[:, 1])]
    normal = {"sagittal": 0, "coronal": 1, "axial": 2}[acquisition.plane]
    ds.SliceLocation = _number(position[normal])
    return ds


def _set_pixels(ds: Dataset, hu: npt.NDArray[np.int16], acquisition: Acquisition) -> None:
    """Set the stored values, which are HU − intercept (PS3.3 C.11.1)."""
    stored = hu.astype(np.int32) - int(ds.RescaleIntercept)
    kind = "<i2" if ds.PixelRepresentation else "<u2"
    ds.PixelData = stored.astype(kind).tobytes()
