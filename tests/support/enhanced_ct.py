"""Enhanced CT and Legacy Converted Enhanced CT objects from single-frame CT images."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.support.ct_volume import write_ct

COMMON = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge",
    "PatientSize", "PatientWeight", "PatientPosition", "StudyInstanceUID", "StudyDate",
    "StudyTime", "StudyID", "StudyDescription", "AccessionNumber", "ReferringPhysicianName",
    "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "FrameOfReferenceUID",
    "PositionReferenceIndicator", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue",
)  # fmt: skip
TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip
PATIENT = {
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "StudyDate": "20260102",
    "StudyTime": "101112",
    "StudyID": "1",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "",
    "SeriesNumber": 4,
    "Manufacturer": "Example",
    "InstanceNumber": 1,
    "SliceThickness": 3,
    "KVP": 100,
    "ConvolutionKernel": "B30f",
    "PatientPosition": "HFS",
    "PositionReferenceIndicator": "",
    "ContrastBolusAgent": "Iodinated contrast agent",
}


def read(paths: Iterable[Path]) -> list[Dataset]:
    """Return the images with their pixels, sorted along their normal."""
    images = [dcmread(path) for path in paths]
    directions = np.reshape([float(v) for v in images[0].ImageOrientationPatient], (2, 3))
    normal = np.cross(*directions)
    return sorted(
        images, key=lambda ds: float(normal @ np.array(ds.ImagePositionPatient, float))
    )


def write_enhanced(
    images: Sequence[Dataset],
    folder: Path,
    *,
    parts: int = 1,
    compress: str | None = None,
    change: Callable[[Dataset], None] | None = None,
) -> list[Path]:
    """Write uncompressed images as one Enhanced CT object, or as the parts of one.

    Frames keep the order of ``images``. ``parts`` : instances of a concatenation. ``compress``
    : transfer syntax UID. ``change`` : modifies each instance before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    concatenation, source = generate_uid(), generate_uid()
    paths = []
    first = 0
    for number, part in enumerate(np.array_split(np.arange(len(images)), parts)):
        ds = enhanced([images[i] for i in part], first=first)
        if parts > 1:
            ds.ConcatenationUID, ds.SOPInstanceUIDOfConcatenationSource = concatenation, source
            ds.InConcatenationNumber, ds.InConcatenationTotalNumber = number + 1, parts
            ds.ConcatenationFrameOffsetNumber = first
        if compress:
            ds.compress(UID(compress), generate_instance_uid=False)
        if change:
            change(ds)
        paths.append(folder / f"enhanced{number}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
        first += len(part)
    return paths


def enhanced(images: Sequence[Dataset], *, first: int = 0) -> Dataset:
    """Return an Enhanced CT object (PS3.3 A.38.1) with one frame for each image of a series."""
    one = images[0]
    ds = _top_level(one)
    ds.NumberOfFrames = len(images)
    ds.SharedFunctionalGroupsSequence = [_shared_groups(one)]
    ds.PerFrameFunctionalGroupsSequence = [
        _frame_groups(image, first + index) for index, image in enumerate(images)
    ]
    ds.PixelData = b"".join(image.PixelData for image in images)
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _top_level(one: Dataset) -> Dataset:
    ds = Dataset()
    for keyword in TYPE_2:
        setattr(ds, keyword, "")
    for keyword in COMMON:
        if keyword in one:
            ds[keyword] = one[keyword]
    ds.SOPClassUID, ds.SOPInstanceUID = EnhancedCTImageStorage, generate_uid()
    ds.Modality = "CT"
    ds.InstanceNumber = 1
    ds.ContentDate = ds.SeriesDate = ds.StudyDate or "20260101"
    ds.ContentTime = ds.SeriesTime = ds.StudyTime or "120000"
    ds.Manufacturer, ds.ManufacturerModelName = "osteoscreen", "test"
    ds.DeviceSerialNumber = ds.SoftwareVersions = "1"
    ds.SeriesNumber = one.get("SeriesNumber", 1)
    ds.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
    ds.MultienergyCTAcquisition = "NO"
    ds.PixelPresentation, ds.VolumetricProperties = "MONOCHROME", "VOLUME"
    ds.VolumeBasedCalculationTechnique = "MPR"
    ds.ContentQualification, ds.LossyImageCompression = "PRODUCT", "00"
    ds.BurnedInAnnotation, ds.PresentationLUTShape = "NO", "IDENTITY"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.AcquisitionContextSequence = []
    organization = generate_uid()
    ds.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    ds.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=0x00209057,  # In-Stack Position Number
            FunctionalGroupPointer=0x00209111,
        )
    ]
    if "ContrastBolusAgent" in one:
        agent = _code("385420005", "SCT", str(one.ContrastBolusAgent))
        agent.ContrastBolusAgentNumber = 1
        agent.ContrastBolusAdministrationRouteSequence = [
            _code("47625008", "SCT", "Intravenous route")
        ]
        agent.ContrastBolusIngredientCodeSequence = [_code("44588005", "SCT", "Iodine")]
        agent.ContrastBolusVolume = agent.ContrastBolusIngredientConcentration = None
        ds.ContrastBolusAgentSequence = [agent]
    return ds


def _shared_groups(one: Dataset) -> Dataset:
    anatomy = _item(
        FrameLaterality="U",
        AnatomicRegionSequence=[_code("12921003", "SCT", "Pelvis")],
    )
    frame_type = _item(
        FrameType=["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="MPR",
    )
    reconstruction = _item(
        ReconstructionAlgorithm="FILTER_BACK_PROJ",
        ConvolutionKernel=one.get("ConvolutionKernel", "STANDARD"),
        ConvolutionKernelGroup="SOFT_TISSUE",
        ReconstructionDiameter=500.0,
        ReconstructionPixelSpacing=list(one.PixelSpacing),
        ReconstructionAngle=360.0,
        ImageFilter="NONE",
    )
    x_rays = _item(
        KVP=one.get("KVP", 120), FocalSpots=[1.0], FilterType="NONE", FilterMaterial="ALUMINUM"
    )
    groups = _item(
        PixelMeasuresSequence=[_subset(one, "PixelSpacing", "SliceThickness")],
        PlaneOrientationSequence=[_subset(one, "ImageOrientationPatient")],
        FrameAnatomySequence=[anatomy],
        CTImageFrameTypeSequence=[frame_type],
        CTReconstructionSequence=[reconstruction],
        CTXRayDetailsSequence=[x_rays],
        IrradiationEventIdentificationSequence=[_item(IrradiationEventUID=generate_uid())],
    )
    if "ContrastBolusAgent" in one:
        usage = _item(ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered="YES")
        usage.ContrastBolusAgentDetected = "YES"
        groups.ContrastBolusUsageSequence = [usage]
    return groups


def _frame_groups(image: Dataset, index: int) -> Dataset:
    content = _item(
        StackID="1", InStackPositionNumber=index + 1, DimensionIndexValues=[index + 1]
    )
    rescale = _subset(image, "RescaleSlope", "RescaleIntercept")
    rescale.RescaleType = "HU"
    return _item(
        FrameContentSequence=[content],
        PlanePositionSequence=[_subset(image, "ImagePositionPatient")],
        PixelValueTransformationSequence=[rescale],
    )


def write_legacy_converted(images: Sequence[Dataset], folder: Path) -> list[Path]:
    """Write images as one Legacy Converted Enhanced CT object, by highdicom."""
    folder.mkdir(parents=True, exist_ok=True)
    ds = hd.legacy.LegacyConvertedEnhancedCTImage(
        legacy_datasets=images,
        series_instance_uid=images[0].SeriesInstanceUID,
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
    )
    path = folder / "legacy.dcm"
    ds.save_as(path)
    ds._db_con.close()  # highdicom (0.28) leaves the database of its frame index open
    return [path]


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _subset(image: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        if keyword in image:
            item[keyword] = image[keyword]
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def noise(count: int = 14, rows: int = 32, columns: int = 28) -> npt.NDArray[np.int16]:
    """Return (slices, rows, columns) HU that differ in every voxel."""
    return np.random.default_rng(5).integers(-900, 1500, (count, rows, columns), np.int16)


def images_of(folder: Path, hu: npt.NDArray[np.int16], **elements: object) -> list[Dataset]:
    """Write HU as a single-frame series and return its images with patient and scan data."""
    images = read(write_ct(folder, hu, **elements))  # type: ignore[arg-type]
    for ds in images:
        for keyword, value in PATIENT.items():
            setattr(ds, keyword, value)
    return images


def shuffled(images: list[Dataset]) -> list[Dataset]:
    """Return the images in another order."""
    return [images[i] for i in np.random.default_rng(1).permutation(len(images))]
