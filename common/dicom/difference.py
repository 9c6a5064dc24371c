"""What two DICOM files with the same SOP Instance UID differ in: names, no values."""

from collections.abc import Iterator
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.uid import DeflatedExplicitVRLittleEndian

from common.dicom.elements import SOP_CLASS_UID
from common.dicom.encoding import syntax_of
from common.dicom.errors import NotPart10, Undecodable
from common.dicom.file_header import EncodedFile, open_file
from common.dicom.limits import MAX_INFLATED_BYTES
from common.dicom.sources import open_source
from common.dicom.walk import Walk, walk

COMPARED = {
    tag: keyword
    for keyword in (
        "ImageType",
        "StudyDate",
        "AccessionNumber",
        "SeriesDescription",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientAge",
        "PatientSize",
        "PatientWeight",
        "BodyPartExamined",
        "SliceThickness",
        "KVP",
        "ConvolutionKernel",
        "SeriesNumber",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleIntercept",
        "RescaleSlope",
    )
    if (tag := tag_for_keyword(keyword)) is not None
}
"""Attributes with a text VR, of which the encoded values can be compared."""
READ_BYTES = 1024 * 1024


def differing_attributes(first: Path, other: Path) -> tuple[str, ...]:
    """Return keywords of compared attributes that differ, and "PixelData" where it does.

    Empty where only others differ, or where a file cannot be read. Reads within the limits of
    intake; pixel data in different or in deflated encodings is not compared.
    """
    try:
        with open_file(first) as one, open_file(other) as two:
            return tuple(_differing(one, two))
    except (Undecodable, NotPart10, OSError):
        return ()


def _differing(one: EncodedFile, two: EncodedFile) -> Iterator[str]:
    first, other = _walk(one), _walk(two)
    for tag, keyword in COMPARED.items():
        if _text(first, tag) != _text(other, tag):
            yield keyword
    syntaxes = {one.meta.transfer_syntax_uid, two.meta.transfer_syntax_uid}
    is_comparable = len(syntaxes) == 1 and DeflatedExplicitVRLittleEndian not in syntaxes
    if is_comparable and not _same_from(one, first.end, two, other.end):
        yield "PixelData"


def _walk(file: EncodedFile) -> Walk:
    uid = file.meta.transfer_syntax_uid
    source = open_source(uid, file.front, file.size, file.read_at, max_bytes=MAX_INFLATED_BYTES)
    wanted = frozenset((SOP_CLASS_UID, *COMPARED))
    return walk(source, syntax_of(uid), wanted, header_only=True)


def _text(found: Walk, tag: int) -> bytes:
    return found.found.get(tag, b"").rstrip(b" \0")


def _same_from(one: EncodedFile, start: int, two: EncodedFile, other_start: int) -> bool:
    if one.size - start != two.size - other_start:
        return False
    return all(
        one.read_at(start + offset, READ_BYTES) == two.read_at(other_start + offset, READ_BYTES)
        for offset in range(0, one.size - start, READ_BYTES)
    )
