"""Headers of compressed frames: size, bits and codec as the codestream itself states them.

They are compared with the header before a decoder allocates memory for what they claim.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum

from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.decoding.jpeg_2000 import JP2_SIGNATURE, SOC_SIZ, read_size
from worker.pipeline.decoding.pixel_format import PixelFormat

SOI, EOI = b"\xff\xd8", b"\xff\xd9"  # ISO 10918-1 B.1.1.3
EOI_BYTES = 64  # padding may follow
# Markers of a frame header, SOFn, without DHT, JPG and DAC, and that of JPEG-LS (ISO 14495-1).
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_LS_FRAME, LOSSLESS_FRAME, BASELINE_FRAMES = 0xF7, 0xC3, (0xC0, 0xC1)
RLE_HEADER_BYTES = 64  # PS3.5 G.5
MAX_RLE_SEGMENTS = 15


class Codec(StrEnum):
    """Family of codecs, named as a reason names it."""

    JPEG_2000 = "JPEG 2000"
    JPEG_LS = "JPEG-LS"
    JPEG_LOSSLESS = "JPEG lossless"
    JPEG = "JPEG"
    RLE = "RLE"


@dataclass(frozen=True, slots=True)
class Codestream:
    """What a compressed frame says of itself.

    ``precision`` : bits of a sample. ``signed`` : samples are signed; only JPEG 2000 says so.
    """

    codec: Codec
    rows: int
    columns: int
    components: int
    precision: int
    signed: bool = False


def read_codestream(frame: bytes, pixels: PixelFormat) -> Codestream:
    """Read the header of a frame and compare it with the format of the pixels.

    The codec is recognized by the bytes, not by the Transfer Syntax UID. Raises DecodeError.
    """
    try:
        found = _read(frame, pixels)
    except (struct.error, IndexError):
        raise DecodeError("A compressed frame ends within its header.") from None
    _compare(found, pixels)
    if found.codec in (Codec.JPEG, Codec.JPEG_LOSSLESS) and EOI not in frame[-EOI_BYTES:]:
        # Decoders of JPEG fill the rest of a truncated image and report nothing.
        raise DecodeError(f"The {found.codec} data are truncated: without the end of image.")
    return found


def _read(frame: bytes, pixels: PixelFormat) -> Codestream:
    if frame.startswith((SOC_SIZ, JP2_SIGNATURE)):
        size = read_size(frame)
        return Codestream(
            Codec.JPEG_2000,
            size.rows,
            size.columns,
            size.components,
            size.precision,
            size.signed,
        )
    if frame.startswith(SOI):
        return _read_sof(frame)
    segments, first = struct.unpack_from("<2I", frame)
    if 1 <= segments <= MAX_RLE_SEGMENTS and first == RLE_HEADER_BYTES:
        components = segments * 8 // pixels.bits_allocated
        return Codestream(
            Codec.RLE, pixels.rows, pixels.columns, components, pixels.bits_allocated
        )
    raise DecodeError("A compressed frame is of no known codec: JPEG, JPEG-LS, 2000 or RLE.")


def _compare(found: Codestream, pixels: PixelFormat) -> None:
    if (found.rows, found.columns) != (pixels.rows, pixels.columns):
        raise DecodeError(
            f"The {found.codec} data have {found.rows} × {found.columns} pixels, the header "
            f"says {pixels.rows} × {pixels.columns}."
        )
    if found.components != 1:
        raise DecodeError(f"The {found.codec} data have {found.components} components, not 1.")
    if not 1 <= found.precision <= pixels.bits_allocated:
        raise DecodeError(
            f"The {found.codec} data have {found.precision} bits, BitsAllocated is "
            f"{pixels.bits_allocated}."
        )


def _read_sof(frame: bytes) -> Codestream:
    """Read the frame header of JPEG (ISO 10918-1 B.2.2) or JPEG-LS (ISO 14495-1 C.2.2)."""
    position = 2
    while True:
        while frame[position] == 0xFF and frame[position + 1] == 0xFF:
            position += 1  # fill bytes (B.1.1.2)
        prefix, marker, length = struct.unpack_from(">BBH", frame, position)
        if prefix != 0xFF or length < 2:
            raise DecodeError("The JPEG data have no marker where one is expected.")
        if marker in JPEG_FRAMES or marker == JPEG_LS_FRAME:
            precision, rows, columns, components = struct.unpack_from(
                ">BHHB", frame, position + 4
            )
            codec = _jpeg_codec(marker, precision)
            return Codestream(codec, rows, columns, components, precision)
        position += 2 + length


def _jpeg_codec(marker: int, precision: int) -> Codec:
    if marker == JPEG_LS_FRAME:
        return Codec.JPEG_LS
    if marker == LOSSLESS_FRAME:
        return Codec.JPEG_LOSSLESS
    if marker in BASELINE_FRAMES and precision == 8:
        return Codec.JPEG
    raise DecodeError(
        f"The JPEG data are of the process SOF{marker & 0x0F} with {precision} bits; lossless "
        "JPEG (SOF3) or 8 bits are read."
    )
