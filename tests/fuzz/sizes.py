"""Headers that lie about sizes, bits, lengths, offsets or the transfer syntax."""

import struct
from random import Random

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.fuzz.hostile import (
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    Generators,
    Hostile,
    delimiter,
    element,
    instance,
)
from tests.fuzz.mutate import INTERESTING
from tests.support.compressed import item, jpeg_2000
from tests.support.ct_factory import encode
from tests.support.ct_volume import alter
from tests.support.encoded import deflate

SIDE = 64  # at least 32 for the resolutions of JPEG 2000
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
LABELS = (
    *NATIVE, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless,
    JPEGLosslessSV1, "", "1.2.3", "1.2.840.10008.1.2.4.201",
)  # fmt: skip
SHORTS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "SamplesPerPixel", "PlanarConfiguration",
)  # fmt: skip
BITS = (0, 1, 7, 8, 11, 12, 13, 15, 16, 17, 31, 32, 64, 255)
NUMBERS = (
    "0", "-1", "1", "2", "65536", "2147483647", "99999999999", "1e9", "1.5", "NaN", "x", "1\\2",
    "",
)  # fmt: skip
TEXTS = (
    "NumberOfFrames", "RescaleSlope", "RescaleIntercept", "PixelSpacing", "SliceThickness",
    "ImagePositionPatient", "ImageOrientationPatient",
)  # fmt: skip

Pixels = npt.NDArray[np.int16]


def with_pixels() -> tuple[Dataset, Pixels]:
    """Return a data set and its stored values."""
    ds = instance(SIDE)
    return ds, np.frombuffer(ds.PixelData, "<i2").reshape(SIDE, SIDE)


def shorts(rng: Random) -> Hostile:
    """One to three values of the Image Pixel Module that differ from the pixel data."""
    ds, _ = with_pixels()
    for keyword in rng.sample(SHORTS, rng.randint(1, 3)):
        bits = BITS if "Bit" in keyword else (SIDE - 1, SIDE + 1, 2 * SIDE, SIDE // 2)
        value = rng.choice((*bits, *(each & 0xFFFF for each in INTERESTING)))
        setattr(ds, keyword, value)
    return _encoded(rng, ds)


def texts(rng: Random) -> Hostile:
    """Numbers in texts that are not numbers, are huge, or are too many."""
    ds, _ = with_pixels()
    for keyword in rng.sample(TEXTS, rng.randint(1, 2)):
        alter(ds, keyword, rng.choice(NUMBERS))
    return _encoded(rng, ds)


def lengths(rng: Random) -> Hostile:
    """An element whose length is not that of its value."""
    ds, _ = with_pixels()
    encoded = bytearray(encode(ds))
    position = 0
    starts = []
    while position < len(encoded):
        _, _, vr, short = struct.unpack_from("<HH2sH", encoded, position)
        is_long = vr in (b"OW", b"OB", b"SQ", b"UN")
        starts.append((position, is_long))
        size = struct.unpack_from("<I", encoded, position + 8)[0] + 4 if is_long else short
        position += 8 + size
    start, is_long = rng.choice(starts)
    value = rng.choice((*INTERESTING, *range(20)))
    if is_long:
        struct.pack_into("<I", encoded, start + 8, value)
    else:
        struct.pack_into("<H", encoded, start + 6, value & 0xFFFF)
    return Hostile(ExplicitVRLittleEndian, bytes(encoded))


def pixel_lengths(rng: Random) -> Hostile:
    """More or fewer bytes of pixel data than the header says, by its length or truly."""
    ds, _ = with_pixels()
    wrong = rng.choice((0, 1, 2, len(ds.PixelData) - 2, len(ds.PixelData) // 2, 10_000))
    ds.PixelData = (ds.PixelData * 40)[: wrong + wrong % 2]
    return _encoded(rng, ds)


def labels(rng: Random) -> Hostile:
    """The label of another transfer syntax; read as what the bytes are, or refused."""
    ds, stored = with_pixels()
    syntax = rng.choice(NATIVE)
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = stored.astype(">i2").tobytes()
    encoded = encode(ds, syntax)
    if syntax == ExplicitVRLittleEndian and rng.random() < 0.3:
        encoded = deflate(encoded)
    return Hostile(rng.choice(LABELS), encoded, stored=stored)


def compressed_labels(rng: Random) -> Hostile:
    """A JPEG 2000 frame under the label of another codec."""
    ds, stored = with_pixels()
    return _encapsulated(rng.choice(LABELS[4:]), ds, stored, [], None)


def offset_tables(rng: Random) -> Hostile:
    """An offset table (PS3.5 A.4) with wrong entries; one frame needs none."""
    ds, stored = with_pixels()
    entries = [rng.choice((*INTERESTING, 10, 100)) for _ in range(rng.randint(0, 4))]
    extended = None
    if rng.random() < 0.3:
        extended = [rng.choice((*INTERESTING, 2**63)) for _ in range(rng.randint(0, 3))]
    return _encapsulated(JPEG2000Lossless, ds, stored, entries, extended)


def meta_lengths(rng: Random) -> Hostile:
    """A group length of the File Meta Information that is wrong (PS3.10 7.1)."""
    ds, stored = with_pixels()
    length = rng.choice((*INTERESTING, *range(0, 400, 2)))
    return Hostile(ExplicitVRLittleEndian, encode(ds), meta_length=length, stored=stored)


def meta_in_data_set(rng: Random) -> Hostile:
    """Elements of group 0002 at the start of the data set, which are ignored or refused."""
    ds, stored = with_pixels()
    value = rng.choice(LABELS).encode()
    added = element(0x00020010, b"UI", value + b"\0" * (len(value) % 2))
    return Hostile(ExplicitVRLittleEndian, added + encode(ds), stored=stored)


def _encoded(rng: Random, ds: Dataset) -> Hostile:
    """Encode in one of three transfer syntaxes; the bytes of the pixels remain as they are."""
    syntax = rng.choice(NATIVE)
    return Hostile(syntax, encode(ds, syntax))


def _encapsulated(
    label: str, ds: Dataset, stored: Pixels, table: list[int], extended: list[int] | None
) -> Hostile:
    frame = jpeg_2000(stored.astype(np.int16))
    del ds.PixelData
    head = encode(ds)
    if extended is not None:
        values = struct.pack(f"<{len(extended)}Q", *extended)
        head += element(0x7FE00001, b"OV", values) + element(0x7FE00002, b"OV", values)
    start = element(PIXEL_DATA, b"OB", b"", UNDEFINED)
    offsets = item(struct.pack(f"<{len(table)}I", *table))
    padded = item(frame + b"\0" * (len(frame) % 2))
    encoded = head + start + offsets + padded + delimiter(SEQUENCE_END)
    return Hostile(label, encoded, stored=stored)


SIZES: Generators = {
    "Image Pixel values": (20, shorts),
    "numbers in texts": (15, texts),
    "element lengths": (15, lengths),
    "pixel data lengths": (10, pixel_lengths),
    "labels": (15, labels),
    "labels of frames": (5, compressed_labels),
    "offset tables": (10, offset_tables),
    "group 0002 lengths": (10, meta_lengths),
    "group 0002 in the data set": (5, meta_in_data_set),
}
