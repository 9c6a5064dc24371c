"""Walk an encoded data set without decoding it: who is it, and is it whole?

Only lengths are followed and four UIDs are read. pydicom reads on over a value that is cut
off; here that is the question.
"""

import mmap
import struct
import zlib
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
IDENTITY = frozenset((SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID))

ITEM = 0xFFFEE000
ITEM_DELIMITATION = 0xFFFEE00D
SEQUENCE_DELIMITATION = 0xFFFEE0DD
UNDEFINED_LENGTH = 0xFFFFFFFF
MAX_DEPTH = 32
INFLATE_BYTES = 256 * 1024

# PS3.5 7.1.2: these have a 16-bit length, all others 2 reserved bytes and a 32-bit length.
SHORT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split(b" ")
)


Encoded = bytes | mmap.mmap
"""What is walked: slices of both are bytes."""


class Undecodable(ValueError):
    """The bytes are not a whole data set; says why, for an Error Comment."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The UIDs of an instance as its data set has them; empty where it has none."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""


def read_identity(
    encoded: Encoded, transfer_syntax_uid: str, *, max_bytes: int, start: int = 0
) -> Identity:
    """Follow all elements from ``start`` to the end, return the UIDs; raises Undecodable.

    ``max_bytes`` bounds what a deflated data set may grow to, in a temporary file.
    """
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        with TemporaryFile() as file:
            if not inflate(encoded, file, max_bytes=max_bytes, start=start):
                return Identity()
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as inflated:
                return _identity(inflated, _EXPLICIT, 0, len(inflated))
    if transfer_syntax_uid == ExplicitVRBigEndian:
        return _identity(encoded, _BIG_ENDIAN, start, len(encoded))
    implicit = transfer_syntax_uid == ImplicitVRLittleEndian
    return _identity(encoded, _IMPLICIT if implicit else _EXPLICIT, start, len(encoded))


def read_front_identity(
    front: bytes, transfer_syntax_uid: str, *, size: int
) -> Identity | None:
    """``read_identity`` of a data set of ``size`` bytes by its first ones: enough where the
    headers of all elements are there, as before uncompressed pixel data.

    None where they are not, or anything is wrong: then all of it must be walked.
    """
    if transfer_syntax_uid in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian):
        return None
    implicit = transfer_syntax_uid == ImplicitVRLittleEndian
    try:
        return _identity(front, _IMPLICIT if implicit else _EXPLICIT, 0, size)
    except Undecodable:
        return None


def inflate(encoded: Encoded, file: IO[bytes], *, max_bytes: int, start: int = 0) -> int:
    """Undo Deflated Explicit VR Little Endian (PS3.5 A.5) into a file; raises Undecodable.

    Returns how many bytes were written.
    """
    stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    try:
        for position in range(start, len(encoded), INFLATE_BYTES):
            part = encoded[position : position + INFLATE_BYTES]
            while part and not stream.eof:
                size += file.write(stream.decompress(part, INFLATE_BYTES))
                part = stream.unconsumed_tail
                if size > max_bytes:
                    raise Undecodable("deflated data set is too large")
        size += file.write(stream.flush())
    except zlib.error:
        raise Undecodable("deflated data set cannot be inflated") from None
    if not stream.eof:
        raise Undecodable("deflated data set is truncated")
    file.flush()
    return size


class _Syntax:
    """The compiled formats of one encoding."""

    __slots__ = ("explicit", "header", "item", "long")

    def __init__(self, *, explicit: bool, byte_order: str) -> None:
        self.explicit = explicit
        self.header = struct.Struct(byte_order + "HH2sH").unpack_from
        self.item = struct.Struct(byte_order + "HHL").unpack_from
        self.long = struct.Struct(byte_order + "L").unpack_from


_IMPLICIT = _Syntax(explicit=False, byte_order="<")
_EXPLICIT = _Syntax(explicit=True, byte_order="<")
_BIG_ENDIAN = _Syntax(explicit=True, byte_order=">")


def _identity(data: Encoded, syntax: _Syntax, start: int, size: int) -> Identity:
    try:
        found = _walk(data, syntax, start, size)
    except struct.error:
        raise Undecodable("data set ends within the header of an element") from None
    return Identity(
        sop_class_uid=_text(found.get(SOP_CLASS_UID, b"")),
        sop_instance_uid=_text(found.get(SOP_INSTANCE_UID, b"")),
        study_instance_uid=_text(found.get(STUDY_INSTANCE_UID, b"")),
        series_instance_uid=_text(found.get(SERIES_INSTANCE_UID, b"")),
    )


def _walk(data: Encoded, syntax: _Syntax, position: int, size: int) -> dict[int, bytes]:
    """Follow all elements of the data set; the values of ``IDENTITY``.

    ``size`` : where it ends; ``data`` may be the front of it, and struct.error says that it
    does not show enough.
    """
    found = {}
    while position < size:
        if size - position < 8 and size == len(data) and not any(data[position:]):
            break  # padding after the last element
        tag, start, position = _element(data, position, syntax, 0, size)
        if tag in IDENTITY:
            if position > len(data):
                raise struct.error
            found[tag] = data[start:position]
    return found


def _element(
    data: Encoded, position: int, syntax: _Syntax, depth: int, size: int
) -> tuple[int, int, int]:
    """Tag, start of the value, and where the element ends."""
    start, content = position + 8, syntax
    if not syntax.explicit:
        group, element, length = syntax.item(data, position)
    else:
        group, element, vr, length = syntax.header(data, position)
        if vr not in SHORT_VRS:
            if not (vr.isalpha() and vr.isupper()):
                raise Undecodable(f"byte {position}: no value representation")
            (length,) = syntax.long(data, start)
            start += 4
            if vr == b"UN":
                # PS3.5 6.2.2: of undefined length, a sequence in Implicit VR Little Endian.
                content = _IMPLICIT
    if length == UNDEFINED_LENGTH:
        end = _skip_items(data, start, content, depth + 1, size)
    else:
        end = start + length
    if end > size:
        raise Undecodable(f"data set ends within ({group:04X},{element:04X})")
    return group << 16 | element, start, end


def _skip_items(data: Encoded, position: int, syntax: _Syntax, depth: int, size: int) -> int:
    """Follow the items of a sequence, or the fragments of compressed pixel data (PS3.5 A.4)."""
    if depth > MAX_DEPTH:
        raise Undecodable("sequences are nested too deeply")
    while True:
        tag, length = _item_header(data, position, syntax)
        position += 8
        if tag == SEQUENCE_DELIMITATION:
            return position
        if tag != ITEM:
            raise Undecodable(f"byte {position - 8}: item expected")
        if length == UNDEFINED_LENGTH:
            position = _skip_item(data, position, syntax, depth, size)
        else:
            position += length


def _skip_item(data: Encoded, position: int, syntax: _Syntax, depth: int, size: int) -> int:
    """Follow the elements of an item of undefined length to behind its delimiter."""
    while _item_header(data, position, syntax)[0] != ITEM_DELIMITATION:
        _, _, position = _element(data, position, syntax, depth, size)
    return position + 8


def _item_header(data: Encoded, position: int, syntax: _Syntax) -> tuple[int, int]:
    group, element, length = syntax.item(data, position)
    return group << 16 | element, length


def _text(value: bytes) -> str:
    """A UID without its padding (PS3.5 9.1: a trailing NUL; devices send spaces too)."""
    return value.rstrip(b"\0 ").decode("ascii", "replace")
