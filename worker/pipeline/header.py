"""The header that SR and SC share: the source's patient and study, our equipment, one clock."""

import re
from datetime import datetime, timedelta, timezone
from io import BytesIO

from pydicom import DataElement, Dataset, Sequence, config, dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from worker.pipeline.geometry import text_of, value_of
from worker.pipeline.results import ModelInfo
from worker.pipeline.uids import (
    ENCODER_VERSION,
    IMPLEMENTATION_CLASS_UID,
    content_digest,
    derive_uid,
    device_uid,
)

MANUFACTURER = "osteoscreen"
PATIENT_SEXES = ("M", "F", "O")
CONTRIBUTION = "Bone density grade of the proximal femur by a neural network"

# Type 2 in the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): empty where the
# source lacks them.
_ALWAYS = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
_WHERE_PRESENT = (
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "IssuerOfAccessionNumberSequence", "StudyDescription",
    "PatientAge", "PatientSize", "PatientWeight", "TimezoneOffsetFromUTC",
)  # fmt: skip


def derived_dataset(source: Dataset, model: ModelInfo, sop_class_uid: str) -> Dataset:
    """Patient, study and equipment of an object derived from ``source``.

    Text is re-encoded as ISO_IR 192 whatever the source used; values stay as they are, even
    where they break their VR, but for a sex that DICOM does not have: that is left empty,
    as receivers check its enumeration (PS3.3 C.7.1.1). Without UIDs of its own and without
    clock values: ``seal`` adds them.
    """
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = sop_class_uid
    ds.StudyInstanceUID = str(source.StudyInstanceUID)
    for keyword in _ALWAYS:
        ds.add(recoded(source, keyword) or DataElement(keyword, dictionary_VR(keyword), None))
    for keyword in _WHERE_PRESENT:
        if element := recoded(source, keyword):
            ds.add(element)
    if ds.PatientSex not in PATIENT_SEXES:
        ds.PatientSex = ""
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = model.name
    ds.SoftwareVersions = model.version
    ds.InstanceNumber = 1
    ds.ContributingEquipmentSequence = [*_acquisition(source), _processing(model)]
    return ds


def seal(ds: Dataset, role: str, at: datetime) -> Dataset:
    """Name a finished object by the digest of its content, then write the clock into it.

    ``at`` is written as the source's local time where the source says its time zone
    (PS3.3 C.12.1.1: TimezoneOffsetFromUTC holds for every DA and TM), else as given.
    """
    digest = content_digest(ds)
    ds.SOPInstanceUID = derive_uid(role, digest)
    ds.SeriesInstanceUID = derive_uid(f"{role} series", digest)
    local = at.astimezone(_zone(ds.get("TimezoneOffsetFromUTC")) or at.tzinfo)
    date, time = local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f")
    ds.InstanceCreationDate = ds.SeriesDate = ds.ContentDate = date
    ds.InstanceCreationTime = ds.SeriesTime = ds.ContentTime = time
    ds.ContributingEquipmentSequence[-1].ContributionDateTime = date + time + f"{local:%z}"

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = f"OSTEOSCREEN_{ENCODER_VERSION}"
    ds.file_meta = meta
    return ds


def to_bytes(ds: Dataset) -> bytes:
    """The file of an SR or SC (PS3.10); the same object gives the same bytes."""
    file = BytesIO()
    dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()


def code_item(code: Code) -> Dataset:
    """One item of a code sequence (PS3.3 Table 8.8-1)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def reference(instance: Dataset) -> Dataset:
    """One item that references a SOP instance (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = instance.SOPClassUID
    item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    return item


def recoded(source: Dataset, keyword: str) -> DataElement | None:
    """A copy of an element that no longer depends on the source's character set.

    None where it is absent or unreadable. A text in a wrong VR gets that of its keyword.
    """
    value = value_of(source, keyword)
    if value is None:
        return None
    vr, expected = source[keyword].VR, dictionary_VR(keyword)
    if vr not in expected.split(" or "):
        if not isinstance(value, str) or expected == "SQ":
            return None
        vr = expected
    elif vr == "SQ":
        value = Sequence(_recoded_item(item) for item in source[keyword].value)
    elif vr == "PN":
        value = [str(name) for name in value] if isinstance(value, MultiValue) else str(value)
    # Not validated: what the source holds is passed on, not judged.
    try:
        return DataElement(keyword, vr, value, validation_mode=config.IGNORE)
    except (ValueError, TypeError, OverflowError):  # "1,70" and "70 kg" are no numbers
        return None


def _recoded_item(item: Dataset) -> Dataset:
    copy = Dataset()
    for keyword in item.dir():
        if element := recoded(item, keyword):
            copy.add(element)
    return copy


def _acquisition(source: Dataset) -> list[Dataset]:
    if not text_of(source, "Manufacturer"):  # type 1 in this sequence (PS3.3 C.12.1)
        return []
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(codes.DCM.AcquisitionEquipment)]
    for keyword in ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber"):
        if text_of(source, keyword) and (element := recoded(source, keyword)):
            item.add(element)
    return [item]


def _processing(model: ModelInfo) -> Dataset:
    """IHE AIR: every algorithm as contributing equipment, equal to what the SR's tree says."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(codes.DCM.ProcessingEquipment)]
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = model.name
    item.SoftwareVersions = model.version
    item.DeviceUID = device_uid(model)
    item.ContributionDescription = CONTRIBUTION
    return item


def _zone(offset: str | None) -> timezone | None:
    """``+0130`` → time zone; None where the source says none, or nonsense."""
    match = re.fullmatch(r"([+-])([01][0-9])([0-5][0-9])", str(offset or "").strip())
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return timezone(timedelta(minutes=minutes if match[1] == "+" else -minutes))
