"""Data sets of some kilobytes that cost gigabytes or minutes where no limit is checked."""

import struct
from random import Random

from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from common.dicom.limits import (
    FREE_INFLATED_BYTES,
    MAX_DEPTH,
    MAX_INFLATION_RATIO,
    MAX_ITEMS,
    MAX_STRING_BYTES,
    MEGABYTE,
    MULTI_FRAME,
    SINGLE_FRAME,
)
from tests.fuzz.hostile import (
    BLOCK_BYTES,
    ITEM,
    ITEM_END,
    PRIVATE,
    SEQUENCE_END,
    UNDEFINED,
    Generators,
    Hostile,
    base,
    deflate_repeated,
    delimiter,
    element,
    instance,
    with_elements,
)
from tests.support.ct_factory import encode

FUNCTIONAL_GROUPS = 0x52009230
TEXTS = {
    "PatientName": b"PN", "PatientID": b"LO", "StudyID": b"SH", "Manufacturer": b"LO",
    "ReferringPhysicianName": b"PN", "SeriesDescription": b"LO",
}  # fmt: skip


def deflated_zeros(rng: Random) -> Hostile:
    """A private element, or the pixel data, of 1 to 400 MB of zeros (about 1000:1)."""
    megabytes = rng.choice((1, 16, 31, 34, 64, 400))
    head, pixels = base()
    size = megabytes * BLOCK_BYTES
    if rng.random() < 0.5:
        start, tail = element(0x7FE00010, b"OW", b"", size), b""
    else:
        start, tail = element(PRIVATE, b"UN", b"", size), pixels
    refused = size > FREE_INFLATED_BYTES or (None if tail else False)
    return deflate_repeated(head + start, b"\0" * BLOCK_BYTES, megabytes, tail, refused)


def deflated_elements(rng: Random) -> Hostile:
    """Up to 13 million empty elements."""
    head, pixels = base()
    one = element(PRIVATE, rng.choice((b"LO", b"UN")), b"")
    block = one * (BLOCK_BYTES // len(one))
    times = rng.choice((1, 8, 100))
    return deflate_repeated(head, block, times, pixels, refused=True)


def deflated_nesting(rng: Random) -> Hostile:
    """Sequences in sequences, up to a million."""
    head, _ = base()
    one = element(PRIVATE, b"SQ", b"", UNDEFINED) + delimiter(ITEM, UNDEFINED)
    return deflate_repeated(head, one * 10_000, rng.choice((1, 10, 100)), b"", refused=True)


def deflated_ratio(rng: Random) -> Hostile:
    """An inflation ratio under or over the limit, in 34 to 48 MB."""
    low = rng.random() < 0.5
    ratio = rng.uniform(50, 0.88 * MAX_INFLATION_RATIO) if low else rng.uniform(115, 400)
    head, pixels = base()
    noise = rng.randbytes(int(BLOCK_BYTES / ratio) - 1040)  # zeros deflate to 1,030 bytes
    block = noise + b"\0" * (BLOCK_BYTES - len(noise))
    megabytes = FREE_INFLATED_BYTES // MEGABYTE + rng.randint(2, 16)
    start = element(PRIVATE, b"UN", b"", megabytes * BLOCK_BYTES)
    large = megabytes * BLOCK_BYTES > SINGLE_FRAME.header_bytes
    if rng.random() < 0.5:
        start, pixels, large = element(0x7FE00010, b"OW", b"", megabytes << 20), b"", False
    return deflate_repeated(head + start, block, megabytes, pixels, large or not low)


def nesting(rng: Random) -> Hostile:
    """Sequences in sequences, with lengths or delimiters.

    The reception does not walk the innermost ones of some hundred bytes, which have lengths.
    """
    depth = rng.choice((MAX_DEPTH - 1, MAX_DEPTH, 100, 1_000, 3_000))
    value = b""
    if rng.random() < 0.5:
        start = element(PRIVATE, b"SQ", b"", UNDEFINED) + delimiter(ITEM, UNDEFINED)
        value = start * depth + (delimiter(ITEM_END) + delimiter(SEQUENCE_END)) * depth
    else:
        for _ in range(depth):
            value = element(PRIVATE, b"SQ", delimiter(ITEM, len(value)) + value)
    return with_elements(value, refused=depth > MAX_DEPTH)


def tiny_elements(rng: Random) -> Hostile:
    """Empty elements at the top level or in an item."""
    count = rng.choice((1_000, SINGLE_FRAME.elements + 1, 100_000))
    value = element(PRIVATE, b"LO", b"") * count
    if rng.random() < 0.5:
        value = element(PRIVATE, b"SQ", delimiter(ITEM, len(value)) + value)
    return with_elements(value, refused=count > SINGLE_FRAME.elements)


def items(rng: Random) -> Hostile:
    """Empty items of one sequence."""
    count = rng.choice((100, MAX_ITEMS + 1, 100_000))
    one = delimiter(ITEM)
    if rng.random() < 0.3:
        one = delimiter(ITEM, UNDEFINED) + delimiter(ITEM_END)
    return with_elements(element(PRIVATE, b"SQ", one * count), refused=count > MAX_ITEMS)


def frames(rng: Random) -> Hostile:
    """An Enhanced CT of empty functional groups, which may state as many frames or others."""
    described = rng.choice((1, 100, 1_000, MAX_ITEMS + 1, MULTI_FRAME.elements + 1))
    stated = rng.choice((described, described, 2**31 - 1, 0, 10**11))
    head, pixels = base(SOPClassUID=EnhancedCTImageStorage)
    number = element(0x00280008, b"IS", str(stated).rjust(12).encode()[:12])
    groups = element(FUNCTIONAL_GROUPS, b"SQ", delimiter(ITEM) * described)
    refused = True if described > MAX_ITEMS else None
    return Hostile(ExplicitVRLittleEndian, head + number + groups + pixels, refused=refused)


def texts(rng: Random) -> Hostile:
    """Texts of up to 10 MB, in either VR, under the VR of the dictionary or another one."""
    keyword, vr = rng.choice(list(TEXTS.items()))
    size = rng.choice((0, 64, MAX_STRING_BYTES, MAX_STRING_BYTES + 2, 100_000, 10 * MEGABYTE))
    part = rng.choice((b"A", b"\\", b"^", b"=", b"A\\", b"\xc3\xa4", b"\x1b$B", b" ", b"\0"))
    value = (part * (size // len(part) + 1))[:size]
    mark = "@" * 16
    ds = instance(**{keyword: mark})
    refused: bool | None = True if size > MAX_STRING_BYTES else None
    if rng.random() < 0.3:
        old = struct.pack("<I", 16) + mark.encode()
        encoded = encode(ds, ImplicitVRLittleEndian)
        encoded = encoded.replace(old, struct.pack("<I", size) + value)
        return Hostile(ImplicitVRLittleEndian, encoded, refused=refused)
    old = vr + struct.pack("<H", 16) + mark.encode()
    if size > 0xFFFE or rng.random() < 0.3:
        vr, refused = rng.choice((b"UN", b"UT", b"OB")), None
    encoded = encode(ds).replace(old, element(0, vr, value)[4:])
    return Hostile(ExplicitVRLittleEndian, encoded, refused=refused)


BOMBS: Generators = {
    "deflated zeros": (3, deflated_zeros),
    "deflated elements": (3, deflated_elements),
    "deflated nesting": (3, deflated_nesting),
    "deflated ratio": (2, deflated_ratio),
    "nesting": (20, nesting),
    "tiny elements": (10, tiny_elements),
    "items": (10, items),
    "frames": (15, frames),
    "texts": (20, texts),
}
