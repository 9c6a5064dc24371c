"""Covered: headers of compressed frames that are damaged, over a limit, or in a file format.
Not covered: sizes that differ from the header of the image (test_frames)."""

import struct

import numpy as np
import pytest

from tests.support.compressed import jpeg_2000
from worker.pipeline.decoding.codestream import Codec, read_codestream
from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.decoding.pixel_format import PixelFormat

FORMAT = PixelFormat(32, 40, 16, 16, 15, True)
IMAGE = np.random.default_rng(3).integers(-900, 1000, (32, 40)).astype(np.int16)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({8: (0, 0, 40, 0)}, "have 32 × 10240 pixels"),
        ({24: (0, 0, 0, 1), 28: (0, 0, 0, 1)}, "have 1280 tiles"),
        ({24: (0, 0, 0, 0)}, "tiles of no size"),
        ({40: (0, 3)}, "have 3 components, not 1"),
        ({42: (0x20,)}, "have 33 bits, BitsAllocated is 16"),
        ({43: (2,)}, "subsampled"),
    ],
)
def test_header_of_jpeg_2000_is_checked(
    change: dict[int, tuple[int, ...]], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.pipeline.decoding.jpeg_2000.MAX_TILES", 500)
    encoded = bytearray(jpeg_2000(IMAGE))
    for offset, values in change.items():
        encoded[offset : offset + len(values)] = values

    with pytest.raises(DecodeError, match=text):
        read_codestream(bytes(encoded), FORMAT)


def with_precincts(encoded: bytes, exponents: int, *, in_tile: bool) -> bytes:
    """Add a size of precincts to the coding style, in the header of the image or a tile."""
    start = encoded.index(b"\xff\x52")
    end = start + 2 + struct.unpack_from(">H", encoded, start + 2)[0]
    style = bytearray(encoded[start:end])
    style[4] |= 1
    style += bytes([exponents]) * (style[9] + 1)
    style[2:4] = struct.pack(">H", len(style) - 2)
    if not in_tile:
        return encoded[:start] + bytes(style) + encoded[end:]
    data = encoded.index(b"\xff\x93")
    return encoded[:data] + bytes(style) + encoded[data:]


@pytest.mark.parametrize("in_tile", [False, True])
def test_precincts_of_jpeg_2000_are_limited(in_tile: bool) -> None:
    encoded = jpeg_2000(np.zeros((512, 512), np.uint16))
    pixels = PixelFormat(512, 512, 16, 16, 15, False)

    read_codestream(with_precincts(encoded, 0x77, in_tile=in_tile), pixels)
    with pytest.raises(DecodeError, match="have 87360 precincts, at most 65536"):
        read_codestream(with_precincts(encoded, 0x11, in_tile=in_tile), pixels)


def test_jp2_file_format_is_read() -> None:
    boxes = b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 " + b"\0\0\0\0jp2c"

    found = read_codestream(boxes + jpeg_2000(IMAGE), FORMAT)

    assert (found.codec, found.rows, found.columns, found.signed) == (
        Codec.JPEG_2000, 32, 40, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (b"", "ends within its header"),
        (b"\xff\x4f\xff\x51\0", "ends within its header"),
        (b"\xff\xd8\xff", "ends within its header"),
        (b"\xff\xd8" + b"\xff\xe0\0\x04ab" * 3, "ends within its header"),
        (b"\xff\xd8abcdef", "no marker where one is expected"),
        (b"\xff\xd8\xff\xc1\0\x0b\x0c\0\x18\0\x20\x01\0\0\0", "SOF1 with 12 bits"),
        (b"\xff\xd8\xff\xc3\0\x0b\x10\0\x20\0\x28\x01\0\0\0", "without the end of image"),
        (b"\0" * 80, "of no known codec"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\0free", "has no codestream"),
        (b"\xff\xd8\xff\xc2\0\x0b\x08\0\x20\0\x28\x01\0\0\0", "SOF2 with 8 bits"),
    ],
)
def test_damaged_headers_of_frames_are_reasons(frame: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        read_codestream(frame, FORMAT)
