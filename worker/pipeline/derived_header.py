"""The header that SR, SC and map share: patient and study of the source, our equipment."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from io import BytesIO

from pydicom import DataElement, Dataset, Sequence, dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from common.dicom.patient_values import read_patient_values, stated_text
from worker.pipeline.header_values import text_of, value_of
from worker.pipeline.results import MEASUREMENT, ModelInfo
from worker.pipeline.uids import (
    ENCODER_VERSION,
    IMPLEMENTATION_CLASS_UID,
    content_digest,
    derive_uid,
    device_uid,
)
from worker.pipeline.value_representation import MAX_ITEMS, valid_value

MANUFACTURER = "osteoscreen"
PATIENT_SEXES = ("M", "F", "O")
LOSSY = (
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
NOT_IDENTIFYING = ("PatientAge", "PatientSize", "PatientWeight")
CONTRIBUTION = "Bone density grade of the proximal femur by a neural network"
MEASUREMENT_CONTRIBUTION = "Attenuation of lumbar vertebrae by geometry"

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
    """Return patient, study and equipment of an object derived from ``source``.

    Text is re-encoded as ISO_IR 192. Values that violate their VR are left out or empty
    (``value_representation``), and so is a sex that is not in the enumeration of PS3.3 C.7.1.1,
    which receivers check. Of the values that the screening could not use, the birth date is
    copied where it is a date: it identifies the patient. ``finalize`` adds the object's UIDs
    and the clock values.
    """
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = sop_class_uid
    ds.StudyInstanceUID = str(source.StudyInstanceUID)
    for keyword in _ALWAYS:
        ds.add(
            recode_element(source, keyword)
            or DataElement(keyword, dictionary_VR(keyword), None)
        )
    for keyword in _WHERE_PRESENT:
        if element := recode_element(source, keyword):
            ds.add(element)
    sex = stated_text(source, "PatientSex").upper()
    ds.PatientSex = sex if sex in PATIENT_SEXES else ""
    for keyword in _not_usable(ds, source):
        if keyword in ds:
            del ds[keyword]
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = model.name
    ds.SoftwareVersions = model.version
    ds.InstanceNumber = 1
    ds.ContributingEquipmentSequence = [
        *_acquisition_equipment(source),
        processing_equipment(model),
    ]
    return ds


def copy_patient_and_study(derived: Dataset, ds: Dataset) -> None:
    """Copy patient and study of one of our objects, without age, size and weight."""
    for keyword in (*_ALWAYS, *_WHERE_PRESENT):
        if keyword in derived and keyword not in NOT_IDENTIFYING:
            ds.add(derived[keyword])


def with_unused_uids(ds: Dataset, role: str, used: Collection[str]) -> Dataset:
    """Return an object with UIDs that no withdrawn object has.

    An archive does not accept an instance again that it was told to reject (IHE RAD TF-3
    4.66.4.2.3.1), and equal content has equal UIDs.
    """
    number = 0
    digest = str(ds.SOPInstanceUID)
    while ds.SOPInstanceUID in used:
        number += 1
        ds.SOPInstanceUID = derive_uid(role, digest, str(number))
        ds.SeriesInstanceUID = derive_uid(f"{role} series", digest, str(number))
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def finalize(ds: Dataset, role: str, at: datetime) -> Dataset:
    """Add UIDs derived from the content, the clock values and the file meta information.

    ``at`` is written in the time zone of the source where it states one (PS3.3 C.12.1.1:
    TimezoneOffsetFromUTC applies to every DA and TM), otherwise as given.
    """
    digest = content_digest(ds)
    ds.SOPInstanceUID = derive_uid(role, digest)
    ds.SeriesInstanceUID = derive_uid(f"{role} series", digest)
    local = at.astimezone(_time_zone(ds.get("TimezoneOffsetFromUTC")) or at.tzinfo)
    date, time = local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f")
    ds.InstanceCreationDate = ds.SeriesDate = ds.ContentDate = date
    ds.InstanceCreationTime = ds.SeriesTime = ds.ContentTime = time
    if "ContributingEquipmentSequence" in ds:
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


def join_series(objects: Mapping[str, Dataset]) -> None:
    """Give objects, by role, one series; each UID depends on the content of all of them.

    An object that is equal in two results would otherwise be one instance in two series.
    """
    digests = [str(ds.SOPInstanceUID) for ds in objects.values()]
    for role, ds in objects.items():
        ds.SOPInstanceUID = derive_uid(role, *digests)
        ds.SeriesInstanceUID = derive_uid("joined series", *digests)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID


def to_bytes(ds: Dataset) -> bytes:
    """Encode a data set as a file (PS3.10); equal data sets give equal bytes."""
    file = BytesIO()
    dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()


def copy_lossy_compression(source: Dataset, ds: Dataset) -> None:
    """Copy whether and how the source was compressed (PS3.3 C.7.6.1.1.5)."""
    if text_of(source, "LossyImageCompression") in ("00", "01"):
        for keyword in LOSSY:
            if element := recode_element(source, keyword):
                ds.add(element)


def code_item(code: Code) -> Dataset:
    """Return one item of a code sequence (PS3.3 Table 8.8-1)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def reference(instance: Dataset) -> Dataset:
    """Return one item that references a SOP instance (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = instance.SOPClassUID
    item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    return item


def recode_element(source: Dataset, keyword: str) -> DataElement | None:
    """Return a copy of an element that does not depend on the source's character set.

    None where it is absent, unreadable or not allowed by its VR. Text with a wrong VR gets the
    VR of its keyword.
    """
    value = value_of(source, keyword)
    if value is None:
        return None
    vr, expected = source[keyword].VR, dictionary_VR(keyword)
    if vr not in expected.split(" or "):
        if not isinstance(value, str) or expected == "SQ":
            return None
        vr = expected
    if vr == "SQ":
        items = [_recode_item(item) for item in source[keyword].value[:MAX_ITEMS]]
        complete = [item for item in items if item and _is_complete(keyword, item)]
        return DataElement(keyword, vr, Sequence(complete)) if complete else None
    valid = valid_value(keyword, vr, value)
    return None if valid is None else DataElement(keyword, vr, valid)


def _not_usable(ds: Dataset, source: Dataset) -> Iterable[str]:
    """Yield optional attributes that are valid for their VR and have no usable meaning."""
    unusable = read_patient_values(source).unusable
    yield from (keyword for keyword in NOT_IDENTIFYING if keyword in unusable)
    if _time_zone(ds.get("TimezoneOffsetFromUTC")) is None:
        yield "TimezoneOffsetFromUTC"
    # PS3.3 C.7.1.1: YES requires a method.
    removed = ds.get("PatientIdentityRemoved")
    methods = "DeidentificationMethod" in ds or "DeidentificationMethodCodeSequence" in ds
    if removed != "NO" and not (removed == "YES" and methods):
        yield "PatientIdentityRemoved"


def _recode_item(item: Dataset) -> Dataset:
    copy = Dataset()
    for keyword in item.dir():
        if element := recode_element(item, keyword):
            copy.add(element)
    return copy


def _is_complete(keyword: str, item: Dataset) -> bool:
    """Return whether an item has what PS3.3 Table 8.8-1 requires of a code."""
    if not keyword.endswith("CodeSequence"):
        return True
    value = "CodeValue" in item or "LongCodeValue" in item
    coded = (value and "CodingSchemeDesignator" in item) or "URNCodeValue" in item
    return coded and "CodeMeaning" in item


def _acquisition_equipment(source: Dataset) -> list[Dataset]:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(codes.DCM.AcquisitionEquipment)]
    for keyword in ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber"):
        if element := recode_element(source, keyword):
            item.add(element)
    # Type 1 in this sequence (PS3.3 C.12.1).
    return [item] if "Manufacturer" in item else []


def processing_equipment(model: ModelInfo) -> Dataset:
    """Return the algorithm as contributing equipment, equal to the SR's content (IHE AIR)."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(codes.DCM.ProcessingEquipment)]
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = model.name
    item.SoftwareVersions = model.version
    item.DeviceUID = device_uid(model)
    item.ContributionDescription = (
        MEASUREMENT_CONTRIBUTION if model == MEASUREMENT else CONTRIBUTION
    )
    return item


def _time_zone(offset: str | None) -> timezone | None:
    """Return the time zone of ``+0130``; None where the offset is absent or invalid."""
    match = re.fullmatch(r"([+-])([01][0-9])([0-5][0-9])", str(offset or "").strip())
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return timezone(timedelta(minutes=minutes if match[1] == "+" else -minutes))
