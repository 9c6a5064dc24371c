"""Compressed frames of a few kilobytes whose codestream, header or fragments claim a lot."""

import struct
from functools import cache
from random import Random

import jpeg_ls
import numpy as np
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.fuzz.hostile import (
    ITEM,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    Generators,
    Hostile,
    base,
    delimiter,
    element,
)
from tests.support.compressed import item, jpeg_2000

SIDE = 64  # at least 32 for the resolutions of JPEG 2000
CLAIMS = (1, SIDE, 255, 1_024, 2_048, 2_049, 4_096, 10_000, 32_767, 65_535)
SOF = {JPEGLSLossless: 0xF7, JPEGLosslessSV1: 0xC3, JPEGBaseline8Bit: 0xC0}
ITEMS = 200_000


def jpeg_2000_size(rng: Random) -> Hostile:
    """An image size segment (ISO 15444-1 A.5.1) with another size, tile or precision."""
    frame = bytearray(_encoded_2000())
    start = frame.index(b"\xff\x51") + 6
    for field in rng.sample(range(8), rng.randint(1, 4)):
        claim = rng.choice((*CLAIMS, 0, 2**31, 2**32 - 1))
        struct.pack_into(">I", frame, start + 4 * field, claim)
    if rng.random() < 0.2:
        struct.pack_into(">H", frame, start + 32, rng.choice((0, 1, 3, 16_384, 65_535)))
    side = rng.choice((SIDE, SIDE, 2_048))
    return _framed(rng.choice((JPEG2000, JPEG2000Lossless, HTJ2K)), [bytes(frame)], side)


def jpeg_2000_large(rng: Random) -> Hostile:
    """An image of one value that both headers describe truly, or only one of them."""
    side = rng.choice((256, 512, 1_024))
    frame = _constant_2000(side)
    if rng.random() < 0.3:
        frame = frame[: rng.randrange(len(frame))]
    return _framed(JPEG2000Lossless, [frame], rng.choice((side, side, SIDE)))


def jpeg_size(rng: Random) -> Hostile:
    """A frame header of JPEG or JPEG-LS (ISO 10918-1 B.2.2) with another size or precision."""
    syntax = rng.choice((JPEGLSLossless, JPEGLosslessSV1, JPEGBaseline8Bit))
    frame = bytearray(_encoded_ls() if syntax == JPEGLSLossless else _jpeg(SOF[syntax]))
    start = frame.index(bytes((0xFF, SOF[syntax]))) + 4
    precision = rng.choice((0, 2, 8, 12, 16, 255))
    rows, columns = rng.choice(CLAIMS), rng.choice(CLAIMS)
    struct.pack_into(">BHH", frame, start, precision, rows, columns)
    if rng.random() < 0.2:
        frame[start + 5] = rng.choice((0, 2, 3, 255))
    return _framed(syntax, [bytes(frame)], rng.choice((SIDE, SIDE, rows)))


def rle_runs(rng: Random) -> Hostile:
    """Segments of RLE (PS3.5 G) that hold up to 100 times the pixels, or point elsewhere."""
    run = bytes((0x81 + rng.choice((0, 126)), 0)) * rng.choice((2, 100, 20_000))
    offsets = [64, 64 + len(run)] + [rng.choice((0, 64, 2**31, 2**32 - 1))] * 13
    count = rng.choice((1, 2, 2, 2, 15, 16, 2**32 - 1))
    frame = struct.pack("<16I", count, *offsets) + run + run
    return _framed(RLELossless, [frame], rng.choice((SIDE, SIDE, 2_048)))


def fragments(rng: Random) -> Hostile:
    """Up to 200,000 fragments, empty or not, of one frame."""
    part = rng.choice((b"", b"\0\0", b"\xff\xd8"))
    count = rng.choice((2, 100, 2_000, ITEMS))
    table = item(rng.randbytes(4 * rng.choice((0, 1, 100))))
    head, _ = base(SIDE)
    value = table + item(part) * count + delimiter(SEQUENCE_END)
    start = element(PIXEL_DATA, b"OB", b"", UNDEFINED)
    refused = True if count == ITEMS else None
    return Hostile(JPEG2000Lossless, head + start + value, refused=refused)


def matrix(rng: Random) -> Hostile:
    """A header that claims up to 65,535 × 65,535 pixels beside a few bytes."""
    rows, columns = rng.choice(CLAIMS), rng.choice(CLAIMS)
    head, pixels = base(4, Rows=rows, Columns=columns)
    if rng.random() < 0.5:
        return Hostile("1.2.840.10008.1.2.1", head + pixels)
    return _framed(
        rng.choice((*SOF, RLELossless, JPEG2000)), [rng.randbytes(99)], rows, columns
    )


def _framed(
    syntax: str, encoded: list[bytes], rows: int, columns: int | None = None
) -> Hostile:
    head, _ = base(4, Rows=rows, Columns=columns or rows)
    start = element(PIXEL_DATA, b"OB", b"", UNDEFINED) + delimiter(ITEM)
    padded = b"".join(item(one + b"\0" * (len(one) % 2)) for one in encoded)
    return Hostile(syntax, head + start + padded + delimiter(SEQUENCE_END))


@cache
def _encoded_2000() -> bytes:
    return jpeg_2000(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE))


@cache
def _constant_2000(side: int) -> bytes:
    return jpeg_2000(np.full((side, side), 7, np.uint16))


@cache
def _encoded_ls() -> bytes:
    return bytes(
        jpeg_ls.encode_array(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, -1))
    )


@cache
def _jpeg(sof: int) -> bytes:
    """Return a JPEG of one component whose entropy-coded data are zeros."""
    frame = struct.pack(">BHHB3B", 8, SIDE, SIDE, 1, 1, 0x11, 0)
    table = bytes((0x00, 1, 1)) + b"\0" * 14 + bytes((0, 1))
    scan = bytes((1, 1, 0x00, 1 if sof == 0xC3 else 0, 0 if sof == 0xC3 else 63, 0))
    quantization = bytes(65)
    segments = ((0xDB, quantization), (sof, frame), (0xC4, table), (0xDA, scan))
    coded = b"".join(struct.pack(">BBH", 0xFF, m, len(s) + 2) + s for m, s in segments)
    return b"\xff\xd8" + coded + bytes(64) + b"\xff\xd9"


CODESTREAMS: Generators = {
    "JPEG 2000 sizes": (20, jpeg_2000_size),
    "JPEG 2000 large": (3, jpeg_2000_large),
    "JPEG sizes": (20, jpeg_size),
    "RLE runs": (10, rle_runs),
    "fragments": (6, fragments),
    "matrices": (20, matrix),
}
