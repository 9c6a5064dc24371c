"""Decoders of one compressed frame.

Each is called for the codec that the bytes show, after ``codestream`` has compared what they
claim with the header. Messages of decoders are not passed on: they name internals.
"""

import logging
import struct

import jpeg_ls
import numpy as np
import numpy.typing as npt
from openjpeg.utils import decode_pixel_data
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGBaseline8Bit, JPEGLosslessSV1

from worker.pipeline.decoding.codestream import (
    MAX_RLE_SEGMENTS,
    RLE_HEADER_BYTES,
    Codec,
    Codestream,
)
from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.decoding.native_stderr import captured_stderr, forward

# Begin of what libjpeg (jerror.h) prints while it decodes; its errors end the decoding too.
JPEG_MESSAGES = (
    b"Application transferred", b"Arithmetic table", b"Bogus", b"Component index",
    b"Corrupt JPEG data", b"DCT coefficient", b"Empty JPEG image", b"Fractional sampling",
    b"Huffman", b"Image too wide", b"Inconsistent", b"Invalid", b"JPEG datastream",
    b"Maximum supported image", b"Missing Huffman", b"Not a JPEG file", b"Premature end of",
    b"Quantization table", b"Sampling factors", b"Sorry, arithmetic coding",
    b"Suspension not allowed", b"Too many color components", b"Unknown Adobe color",
    b"Unsupported",
)  # fmt: skip
# Bytes before the end of image are padding of some encoders; the revision does not matter.
HARMLESS_JPEG_MESSAGES = (b"extraneous bytes before marker 0xd9", b"unknown JFIF revision")

Samples = npt.NDArray[np.integer]
"""(rows, columns) integers as the codestream has them."""

# pydicom logs the traceback of every plug-in that fails; a DecodeError says what failed.
logging.getLogger("pydicom.pixels.decoders.base").setLevel(logging.CRITICAL)


def decode_frame(frame: bytes, info: Codestream) -> Samples:
    """Decode a frame to its samples. Raises DecodeError."""
    try:
        samples = _DECODERS[info.codec](frame, info)
        return samples.reshape(info.rows, info.columns)
    except DecodeError:
        raise
    except Exception:  # decoders raise any exception
        raise DecodeError(f"The {info.codec} data are damaged.") from None


def _jpeg_2000(frame: bytes, info: Codestream) -> Samples:
    """Decode JPEG 2000 Part 1 or 15 (HTJ2K)."""
    data = decode_pixel_data(frame, version=2)
    return np.frombuffer(data, _dtype(info.precision, signed=info.signed))


def _jpeg_ls(frame: bytes, info: Codestream) -> Samples:
    data, _ = jpeg_ls.decode_pixel_data(frame)
    return np.frombuffer(data, _dtype(info.precision))


def _jpeg(frame: bytes, info: Codestream) -> Samples:
    """Decode JPEG by pydicom's plug-ins: GDCM (lossless), Pillow or GDCM (8 bits)."""
    syntax = JPEGLosslessSV1 if info.codec is Codec.JPEG_LOSSLESS else JPEGBaseline8Bit
    even = frame + b"\0" * (len(frame) % 2)
    data = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, len(even)
    )
    with captured_stderr() as lines:
        samples, _ = get_decoder(syntax).as_array(
            data + even,
            index=0,
            raw=True,
            rows=info.rows,
            columns=info.columns,
            samples_per_pixel=1,
            number_of_frames=1,
            bits_allocated=8 * _dtype(info.precision).itemsize,
            bits_stored=info.precision,
            pixel_representation=0,
            photometric_interpretation="MONOCHROME2",
            pixel_keyword="PixelData",
        )
    _check_jpeg_messages(lines)
    return np.asarray(samples)


def _check_jpeg_messages(lines: list[bytes]) -> None:
    """Refuse a frame of which libjpeg says that it is damaged: GDCM returns one in any case."""
    harmless = [line for line in lines if any(one in line for one in HARMLESS_JPEG_MESSAGES)]
    rest = [line for line in lines if line not in harmless]
    damage = [line for line in rest if line.startswith(JPEG_MESSAGES)]
    forward([line for line in rest if line not in damage])
    if damage:
        raise DecodeError("The JPEG data are damaged.")


def _rle(frame: bytes, info: Codestream) -> Samples:
    """Decode RLE (PS3.5 Annex G): one segment a byte of the pixel cells, highest byte first.

    The plug-in pylibjpeg-rle ends the interpreter's thread where a segment is too long.
    """
    count, *offsets = struct.unpack_from(f"<{1 + MAX_RLE_SEGMENTS}I", frame)
    width = info.precision // 8
    if count != width:
        raise DecodeError(f"The RLE data have {count} segments, {width} are needed.")
    ends = [*offsets[1:count], len(frame)]
    size = info.rows * info.columns
    cells = np.empty((size, width), np.uint8)
    for index, (start, end) in enumerate(zip(offsets, ends, strict=False)):
        if not RLE_HEADER_BYTES <= start < end <= len(frame):
            raise DecodeError("The RLE data have a segment outside of the frame.")
        segment = _unpack_bits(frame[start:end], size)
        cells[:, width - 1 - index] = np.frombuffer(segment, np.uint8)
    return cells.view(_dtype(info.precision)).ravel()


def _unpack_bits(data: bytes, size: int) -> bytes:
    """Decode a segment to exactly ``size`` bytes (PS3.5 G.3.2)."""
    out, position = bytearray(), 0
    while len(out) < size:
        if position >= len(data):
            raise DecodeError(f"An RLE segment has {len(out)} bytes, {size} are needed.")
        code = data[position]
        if code < 128:
            out += data[position + 1 : position + 2 + code]
            position += 2 + code
        else:
            if code > 128:
                out += data[position + 1 : position + 2] * (257 - code)
            position += 1 if code == 128 else 2
    if len(out) > size:
        raise DecodeError(f"An RLE segment has over {size} bytes, {size} are needed.")
    return bytes(out)


def _dtype(precision: int, *, signed: bool = False) -> np.dtype[np.integer]:
    """Return the type in which decoders return samples: the next of 1, 2 and 4 bytes."""
    size = 1 if precision <= 8 else 2 if precision <= 16 else 4
    return np.dtype(f"<{'i' if signed else 'u'}{size}")


_DECODERS = {
    Codec.JPEG_2000: _jpeg_2000,
    Codec.JPEG_LS: _jpeg_ls,
    Codec.JPEG_LOSSLESS: _jpeg,
    Codec.JPEG: _jpeg,
    Codec.RLE: _rle,
}
