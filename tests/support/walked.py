"""Data sets written for the walk over their elements, and its answers."""

import struct

import pytest
from pydicom import Dataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from common.dicom import walk as subject
from common.dicom.elements import SOP_CLASS_UID
from common.dicom.encoding import syntax_of
from common.dicom.errors import LimitExceeded
from common.dicom.limits import MEGABYTE
from common.dicom.sources import PlainSource, open_source
from common.dicom.walk import Walk, walk_image
from storescp.store.refusal import MAX_COMMENT
from tests.support.ct_factory import ct_instance, encode
from tests.support.encoded import reader

PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
PATIENT_ID, SERIES_UID = 0x00100020, 0x0020000E
UNDEFINED = 0xFFFFFFFF
TINY = struct.pack("<HH2sH", 0x7FD1, 0x1010, b"LO", 0)
PRIVATE = 0x00191010


def walk(
    encoded: bytes, syntax: str = ExplicitVRLittleEndian, *, header_only: bool = False
) -> dict[int, bytes]:
    """Return the encoded values of an image that the limits accept."""
    source = open_source(
        syntax, encoded[:1000], len(encoded), reader(encoded), max_bytes=1024 * MEGABYTE
    )
    return walk_image(source, syntax_of(syntax), {PATIENT_ID}, header_only=header_only)


def walk_header(encoded: bytes, syntax: str = ExplicitVRLittleEndian) -> Walk:
    """Return where the header ends, and what was counted up to there."""
    source = PlainSource(encoded[:1000], len(encoded), reader(encoded))
    return subject.walk(source, syntax_of(syntax), {SOP_CLASS_UID}, header_only=True)


def refusal(encoded: bytes, syntax: str = ExplicitVRLittleEndian) -> str:
    """Return why the limits refuse an image."""
    with pytest.raises(LimitExceeded) as error:
        walk(encoded, syntax)
    assert len(str(error.value)) <= MAX_COMMENT
    return str(error.value)


def insert(ds: Dataset, element: bytes) -> bytes:
    """Return a data set with an encoded element before the pixel data."""
    encoded = encode(ds)
    at = encoded.rindex(struct.pack("<HH", 0x7FE0, 0x0010), 0, -len(ds.PixelData))
    return encoded[:at] + element + encoded[at:]


def sequence(content: bytes, *, vr: bytes = b"SQ", defined: bool = True) -> bytes:
    """Return an encoded private sequence of encoded items."""
    length = len(content) if defined else UNDEFINED
    end = b"" if defined else struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return struct.pack("<HH2sHL", 0x0019, 0x1010, vr, 0, length) + content + end


def item(content: bytes, *, defined: bool = True) -> bytes:
    """Return an encoded item of encoded elements."""
    length = len(content) if defined else UNDEFINED
    end = b"" if defined else struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    return struct.pack("<HHL", 0xFFFE, 0xE000, length) + content + end


def enhanced(frames: int, elements: int) -> Dataset:
    """Return an Enhanced CT with so many elements in each frame."""
    ds = ct_instance(SOPClassUID=EnhancedCTImageStorage, NumberOfFrames=frames)
    frame = Dataset()
    for number in range(elements):
        frame.add_new(PRIVATE + number, "SH", "1")
    ds.PerFrameFunctionalGroupsSequence = [frame] * frames
    return ds
