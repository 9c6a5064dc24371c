"""Walk an encoded data set within limits, without decoding it.

Follows the lengths of all elements (PS3.5 7), also inside of sequences, and returns the encoded
values of wanted ones. pydicom accepts a truncated last value, and reads any number of elements;
the walk refuses both.
"""

import sys
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

from common.dicom.elements import PIXEL_DATA_TAGS, SOP_CLASS_UID, Elements
from common.dicom.encoding import ALL_VRS, Scope, Syntax, syntax_of
from common.dicom.errors import LimitExceeded, Undecodable
from common.dicom.limits import (
    IDENTIFICATION,
    MAX_FRAME_PIXELS,
    MAX_INFLATED_BYTES,
    MAX_PIXELS,
)
from common.dicom.sources import Source, open_source

NUMBER_OF_FRAMES = 0x00280008
ROWS = 0x00280010
COLUMNS = 0x00280011
CHECKED = frozenset((SOP_CLASS_UID, NUMBER_OF_FRAMES, ROWS, COLUMNS))

Found = dict[int, bytes]
"""Encoded values by tag."""


class Walk(NamedTuple):
    """Result of a walk.

    ``found`` : the wanted values. ``end`` : offset of the pixel data element, or of the end of
    the data set. ``elements`` : number of elements, items and fragments at every depth.
    ``frames`` : items that describe a frame.
    """

    found: Found
    end: int
    elements: int
    frames: int


def walk(
    source: Source, syntax: Syntax, wanted: Collection[int], *, header_only: bool = False
) -> Walk:
    """Walk all elements, or those before the pixel data.

    Values of elements in sequences, and values over ``WINDOW_BYTES``, are not found. An object
    has the limits of many frames only where the SOP class is wanted. Raises Undecodable, and
    LimitExceeded for what is decodable but too large.
    """
    elements = Elements(source, header_only=header_only)
    end = _walk(elements, source, syntax, wanted)
    if not header_only:
        source.finish()
    return Walk(elements.found, end, elements.count, elements.frames)


def walk_image(
    source: Source, syntax: Syntax, wanted: Collection[int], *, header_only: bool = False
) -> Found:
    """Return the wanted values after a walk; also limits the size of the image."""
    found = walk(source, syntax, CHECKED.union(wanted), header_only=header_only).found
    _check_image_size(found, syntax)
    return found


def find_values(source: Source, syntax: Syntax, wanted: Collection[int]) -> Found:
    """Return the wanted values before the pixel data, or before an error.

    Nothing is read behind the window of the last one.
    """
    elements = Elements(source, header_only=True, limits=IDENTIFICATION)
    with suppress(Undecodable):
        _walk(elements, source, syntax, frozenset(wanted), until_found=True)
    return elements.found


def find_in_front(front: bytes, transfer_syntax_uid: str, wanted: Collection[int]) -> Found:
    """Return the wanted values that the first bytes of a data set hold, whatever follows."""

    def read_at(position: int, length: int) -> bytes:
        return front[position : position + length]

    with suppress(Undecodable):
        source = open_source(
            transfer_syntax_uid, front, sys.maxsize, read_at, max_bytes=MAX_INFLATED_BYTES
        )
        return find_values(source, syntax_of(transfer_syntax_uid), wanted)
    return {}


def _walk(
    elements: Elements,
    source: Source,
    syntax: Syntax,
    wanted: Collection[int],
    *,
    until_found: bool = False,
) -> int:
    """Return the position of the pixel data if the walk ends there, else that of the end."""
    if not syntax.explicit and source.front[4:6] in ALL_VRS:
        # pydicom would read it as it is, which the walk would not have checked.
        raise Undecodable("data set is not in Implicit VR Little Endian")
    scope = Scope(syntax, 0, source.size)
    position, in_header = 0, True
    while (position := elements.pass_short(position, scope, wanted)) < scope.size:
        if until_found and len(elements.found) == len(wanted):
            break
        if elements.is_padding(position):
            break
        tag, start, end = elements.element(position, scope)
        if tag in wanted:
            elements.keep(tag, start, end)
        if tag in PIXEL_DATA_TAGS:
            if elements.header_only:
                break
            in_header = False
        elif in_header and end > elements.limits.header_bytes:
            elements.check_header(end)
        position = end
    return position


def _check_image_size(found: Found, syntax: Syntax) -> None:
    rows, columns = (
        int.from_bytes(found.get(tag, b""), syntax.byte_order) for tag in (ROWS, COLUMNS)
    )
    frames = found.get(NUMBER_OF_FRAMES, b"").strip(b" \0")
    if rows * columns > MAX_FRAME_PIXELS:
        raise LimitExceeded(f"image is over {MAX_FRAME_PIXELS} pixels")
    if frames.isdigit() and int(frames[:12]) * max(rows * columns, 1) > MAX_PIXELS:
        raise LimitExceeded(f"image is over {MAX_PIXELS} pixels in all frames")
