"""Reading of the header of a DICOM file, whatever its label says of the encoding."""

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from common.dicom.elements import SOP_CLASS_UID
from common.dicom.encoding import BIG_ENDIAN, Syntax, decode_text, detect_encoding
from common.dicom.errors import LimitExceeded, Undecodable
from common.dicom.file_header import EncodedFile, open_file
from common.dicom.file_meta import META_GROUP
from common.dicom.sources import InflatedSource, PlainSource, Source
from common.dicom.walk import Walk, find_values, walk
from worker.pipeline.decoding.error import DecodeError

# Enough for the header of nearly every single-frame CT; more is read where it is not.
FRONT_BYTES = 64 * 1024
MAX_PRIVATE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class FileHeader:
    """Header of a file without its pixel data.

    ``transfer_syntax_uid`` : of the bytes as they are, which may differ from the label.
    ``pixel_offset`` : of the pixel data element in the file, or in the inflated data set.
    ``kept_bytes`` : without the private elements that are left out.
    """

    dataset: Dataset
    transfer_syntax_uid: str
    pixel_offset: int
    walk: Walk
    kept_bytes: int


def read_header(path: Path) -> FileHeader:
    """Read the header of a file.

    Elements of group 0002 in the data set are left out: they belong to the File Meta
    Information only (PS3.10 7.1). So are long private elements: those of spectral CT hold 1 to
    4 MB in each slice. Raises OSError, NotPart10, Undecodable where the bytes are no
    data set, DecodeError where it exceeds a limit, and what pydicom raises for malformed
    elements.
    """
    with open_file(path, front_bytes=FRONT_BYTES) as file:
        source, syntax = _open_data_set(file)
        deflated = isinstance(source, InflatedSource)
        try:
            walked = walk(source, syntax, {SOP_CLASS_UID}, header_only=True)
        except LimitExceeded as error:
            raise DecodeError(f"A file exceeds a limit: {error}.") from error
        encoded = _read_front(file, walked.end, deflated=deflated)
    ds = _parse(encoded, syntax)
    left_out = _remove_unused(ds)
    return FileHeader(
        ds,
        _transfer_syntax_of(syntax, deflated=deflated, label=file.meta.transfer_syntax_uid),
        walked.end + (0 if deflated else file.meta.data_set_offset),
        walked,
        walked.end - left_out,
    )


def read_text(path: Path, keyword: str) -> str:
    """Return the text of a top-level element, ``""`` where it is absent; raises as above."""
    tag = int(tag_for_keyword(keyword) or 0)
    with open_file(path) as file:
        value = find_values(*_open_data_set(file), {tag}).get(tag, b"")
    return decode_text(value)


def inflate_file(path: Path, size: int) -> bytes:
    """Return the first ``size`` bytes of a deflated data set. Raises DecodeError."""
    with open_file(path) as file:
        try:
            return InflatedSource(file.read_at).read_front(size)
        except Undecodable as error:
            raise DecodeError(f"A file cannot be inflated: {error}.") from error


def _open_data_set(file: EncodedFile) -> tuple[Source, Syntax]:
    """Return the data set, inflated where it is deflated, and the encoding of its bytes."""
    source: Source = PlainSource(file.front, file.size, file.read_at)
    syntax = detect_encoding(file.front)
    if syntax is None:
        source = InflatedSource(file.read_at)
        syntax = detect_encoding(source.front)
    if syntax is None:
        raise Undecodable("data set begins with no element")
    return source, syntax


def _read_front(file: EncodedFile, size: int, *, deflated: bool) -> bytes:
    if deflated:
        return InflatedSource(file.read_at).read_front(size)
    return file.front[:size] if size <= len(file.front) else file.read_at(0, size)


def _transfer_syntax_of(syntax: Syntax, *, deflated: bool, label: str) -> str:
    """Return the Transfer Syntax UID of a data set with a given label.

    The label counts where it only says how the pixel data are compressed.
    """
    if deflated:
        return str(DeflatedExplicitVRLittleEndian)
    if not syntax.explicit:
        return str(ImplicitVRLittleEndian)
    if syntax is BIG_ENDIAN:
        return str(ExplicitVRBigEndian)
    uid = UID(label)
    if uid.is_transfer_syntax and not uid.is_private and uid.is_encapsulated:
        return label
    return str(ExplicitVRLittleEndian)


def _parse(encoded: bytes, syntax: Syntax) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings contain header values
        return read_dataset(
            BytesIO(encoded), not syntax.explicit, syntax.byte_order == "little"
        )


def _remove_unused(ds: Dataset) -> int:
    """Remove elements of group 0002 and long private ones; return the bytes of their values."""
    removed = 0
    for tag, element in list(ds.items()):
        value = element.value
        long = isinstance(value, bytes) and len(value) > MAX_PRIVATE_BYTES
        if tag.group == META_GROUP or (long and tag.is_private):
            removed += len(value) if long else 0
            del ds[tag]
    return removed
