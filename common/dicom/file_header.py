"""The header of a DICOM file (PS3.10), read within limits."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian

from common.dicom.encoding import syntax_of
from common.dicom.errors import NotPart10
from common.dicom.file_meta import MAX_META_BYTES, FileMeta, decode_meta
from common.dicom.limits import MAX_INFLATED_BYTES
from common.dicom.sources import WINDOW_BYTES, ReadAt, open_source
from common.dicom.walk import Found, walk_image


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """An open DICOM file.

    ``front`` : first bytes of the data set. ``size`` : of the data set in bytes, as encoded.
    """

    meta: FileMeta
    front: bytes
    size: int
    read_at: ReadAt


@contextmanager
def open_file(
    path: Path,
    *,
    front_bytes: int = WINDOW_BYTES,
    decode: Callable[[bytes], FileMeta | None] = decode_meta,
) -> Iterator[EncodedFile]:
    """Open a DICOM file and read its first bytes. Raises NotPart10 and OSError.

    ``decode`` : returns the File Meta Information, None where it needs more bytes.
    """
    with path.open("rb", buffering=0) as file:
        descriptor = file.fileno()
        head = file.read(front_bytes)
        meta = decode(head)
        if meta is None:
            head += file.read(MAX_META_BYTES)
            meta = decode(head)
        if meta is None:
            raise NotPart10(path.name)
        offset = meta.data_set_offset
        yield EncodedFile(
            meta,
            head[offset:],
            os.fstat(descriptor).st_size - offset,
            lambda position, length: os.pread(descriptor, length, offset + position),
        )


def read_file_header(path: Path, wanted: Collection[int] = ()) -> Dataset:
    """Return the wanted elements of a file; nothing is read behind the pixel data.

    Values are decoded when they are used. Memory is bounded by one window and the values, time
    by the limits. Raises Undecodable, NotPart10 and OSError.
    """
    with open_file(path) as file:
        return header_of(file, wanted)


def header_of(file: EncodedFile, wanted: Collection[int] = ()) -> Dataset:
    """As ``read_file_header``, of an open file. Raises Undecodable."""
    uid = file.meta.transfer_syntax_uid
    source = open_source(uid, file.front, file.size, file.read_at, max_bytes=MAX_INFLATED_BYTES)
    found = walk_image(source, syntax_of(uid), wanted, header_only=True)
    return _data_set(found, wanted, little=uid != ExplicitVRBigEndian)


def _data_set(found: Found, wanted: Collection[int], *, little: bool) -> Dataset:
    ds = Dataset()
    for tag in found.keys() & wanted:
        # Without a VR, pydicom takes that of its dictionary.
        value = found[tag]
        ds[tag] = RawDataElement(Tag(tag), None, len(value), value, 0, True, little)
    return ds
