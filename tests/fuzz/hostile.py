"""Hostile data sets: the type, and elements that are encoded byte by byte."""

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from tests.support.ct_factory import ct_instance, encode

UIDS = {
    "SOPInstanceUID": "1.2.3.4.1", "StudyInstanceUID": "1.2.3.5",
    "SeriesInstanceUID": "1.2.3.6", "FrameOfReferenceUID": "1.2.3.7",
}  # fmt: skip
# SOP Instance UID and Image Position (Patient) of the first and the second slice.
SECOND = ((b"1.2.3.4.1", b"1.2.3.4.2"), (b"0\\3.0\\0", b"0\\6.0\\0"))
UNDEFINED = 0xFFFFFFFF
PRIVATE = 0x70011010
PIXEL_DATA = 0x7FE00010
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Hostile:
    """A data set, and the transfer syntax that its label names.

    ``second`` : the same as the next slice of the series, which has another SOP Instance UID.
    ``refused`` : whether the reception must refuse it; None where it may do either.
    ``meta_length`` : group length of the File Meta Information; None is the true one.
    ``stored`` : (rows, columns) that the pipeline must read, unless it refuses them.
    """

    syntax: str
    encoded: bytes
    second: bytes | None = None
    refused: bool | None = None
    meta_length: int | None = None
    stored: npt.NDArray[np.int16] | None = None


Generators = Mapping[str, tuple[int, Callable[[Random], Hostile]]]
"""Kind → its weight and its generator."""


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """Encode an element in Explicit VR Little Endian; ``length`` may be untrue."""
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in (b"OB", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UT"):
        return head + struct.pack("<HI", 0, size) + value
    return head + struct.pack("<H", size & 0xFFFF) + value


def delimiter(tag: int, length: int = 0) -> bytes:
    """Encode the start of an item, or a delimiter (PS3.5 7.5)."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length)


def instance(size: int = 16, **elements: object) -> Dataset:
    """Return the first slice of a series, with always the same UIDs."""
    return ct_instance(size=size, **{**UIDS, **elements})


def second(encoded: bytes) -> bytes:
    """Return the second slice, which is otherwise the same as the first."""
    for old, new in SECOND:
        encoded = encoded.replace(old, new)
    return encoded


def base(size: int = 16, **elements: object) -> tuple[bytes, bytes]:
    """Return a valid data set: what precedes the pixel data, and the pixel data."""
    encoded = encode(instance(size, **elements))
    start = encoded.rindex(struct.pack("<HH", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF))
    return encoded[:start], encoded[start:]


def with_elements(added: bytes, refused: bool | None = None) -> Hostile:
    """Return a valid data set with elements inserted before the pixel data."""
    head, pixels = base()
    return Hostile(ExplicitVRLittleEndian, head + added + pixels, refused=refused)


def deflate_repeated(
    head: bytes, block: bytes, times: int, tail: bytes, refused: bool | None = None
) -> Hostile:
    """Return a deflated data set with a block that is repeated.

    The block is compressed once: after a full flush it does not refer to what precedes it.
    """
    blocks = _deflated(block, zlib.Z_FULL_FLUSH) * times + _deflated(tail, zlib.Z_FINISH)
    first, other = (_deflated(each, zlib.Z_FULL_FLUSH) for each in (head, second(head)))
    syntax = DeflatedExplicitVRLittleEndian
    return Hostile(syntax, first + blocks, other + blocks, refused)


def _deflated(data: bytes, flush: int) -> bytes:
    stream = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush(flush)
