"""Headers of JPEG 2000 codestreams (Part 1 Annex A), which HTJ2K (Part 15) shares."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.limits import MAX_PRECINCTS, MAX_TILES

SOC_SIZ = b"\xff\x4f\xff\x51"  # A.4.1, A.5.1
JP2_SIGNATURE = b"\0\0\0\x0cjP  "  # Annex I: the optional file format
SOT, SOD, COD, COC = 0xFF90, 0xFF93, 0xFF52, 0xFF53  # A.4.2, A.4.3, A.6.1, A.6.2
MAX_LEVELS = 32


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Values of the marker segment of image and tile size."""

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool


def read_size(frame: bytes) -> ImageSize:
    """Read the size of the image, and check tiles and precincts.

    Raises DecodeError over a limit, struct.error where the frame is too short.
    """
    start = _codestream(frame) if frame.startswith(JP2_SIGNATURE) else 0
    if frame[start : start + 4] != SOC_SIZ:
        raise DecodeError("The JPEG 2000 data begin with no image size.")
    width, height, left, top, tile_width, tile_height, tile_left, tile_top, components = (
        struct.unpack_from(">8IH", frame, start + 8)
    )
    depth, step_x, step_y = struct.unpack_from(">3B", frame, start + 42)
    if not (tile_width and tile_height and step_x == step_y == 1):
        raise DecodeError("The JPEG 2000 data have tiles of no size, or subsampled components.")
    tiles = -(-(width - tile_left) // tile_width) * -(-(height - tile_top) // tile_height)
    if tiles > MAX_TILES:
        raise DecodeError(
            f"The JPEG 2000 data have {tiles} tiles, at most {MAX_TILES} are read."
        )
    rows, columns = height - top, width - left
    for precincts in _precincts(frame, start + 2, rows, columns):
        if precincts > MAX_PRECINCTS:
            raise DecodeError(
                f"The JPEG 2000 data have {precincts} precincts, at most {MAX_PRECINCTS} are "
                "read."
            )
    precision, signed = (depth & 0x7F) + 1, bool(depth & 0x80)
    return ImageSize(rows, columns, components, precision, signed)


def _codestream(frame: bytes) -> int:
    """Return the start of the codestream in the boxes of a JP2 file (I.4)."""
    position = 0
    while True:
        length, kind = struct.unpack_from(">I4s", frame, position)
        if kind == b"jp2c":
            return position + (16 if length == 1 else 8)
        if length < 8:
            raise DecodeError("The JPEG 2000 file format has no codestream.")
        position += length


def _precincts(frame: bytes, position: int, rows: int, columns: int) -> Iterator[int]:
    """Yield the number of precincts of each coding style, of the image or of a tile."""
    for marker, start in _segments(frame, position):
        if marker not in (COD, COC):
            continue
        style, levels, sizes = (4, 9, 14) if marker == COD else (5, 6, 11)
        count = frame[start + levels]
        if count > MAX_LEVELS:
            raise DecodeError(
                f"The JPEG 2000 data have {count} levels, at most 32 are allowed."
            )
        if frame[start + style] & 1:  # otherwise one precinct of 32768 × 32768
            yield sum(
                -(-columns >> count - level + (size & 15))
                * -(-rows >> count - level + (size >> 4))
                for level, size in enumerate(frame[start + sizes : start + sizes + count + 1])
            )


def _segments(frame: bytes, position: int) -> Iterator[tuple[int, int]]:
    """Yield marker and start of each segment in the headers of image and tile-parts."""
    tile_part = end = 0
    while position + 4 <= len(frame):
        marker, length = struct.unpack_from(">HH", frame, position)
        if marker == SOT:
            tile_part = position
            (size,) = struct.unpack_from(">I", frame, position + 6)
            end = tile_part + size if size else len(frame)
        if marker == SOD:
            if end <= position:
                return
            position = end
            continue
        if marker >> 8 != 0xFF or length < 2:
            return
        yield marker, position
        position += 2 + length
