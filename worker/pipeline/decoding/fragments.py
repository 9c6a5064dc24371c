"""Location of the frames in an element of pixel data (PS3.5 8.2, A.4)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from common.dicom.encoding import ITEM, SEQUENCE_DELIMITATION
from worker.pipeline.decoding.codestream import SOI
from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.decoding.jpeg_2000 import JP2_SIGNATURE, SOC_SIZ
from worker.pipeline.limits import ENCODED_SLACK_BYTES, MAX_EXPANSION, MAX_FRAGMENTS

NOT_THERE = "An image has no pixel data."


@dataclass(frozen=True, slots=True)
class Fragment:
    """Part of a file: offset and length in bytes, and the first bytes."""

    offset: int
    length: int
    start: bytes = b""


Frame = tuple[Fragment, ...]


def compressed_frames(
    file: BinaryIO, count: int, extended: Sequence[int] = ()
) -> tuple[Frame, ...]:
    """Return the fragments of each frame; ``file`` stands at the Basic Offset Table.

    ``extended`` : Extended Offset Table. One frame has all fragments, and as many fragments as
    frames are one each, so that the tables are not needed; wrong ones are common. Otherwise
    a table counts where each of its entries is the start of a fragment, and then the fragments
    with which a codestream begins. Raises DecodeError where neither gives ``count`` frames.
    """
    table, fragments = _read_fragments(file, count)
    if not fragments:
        raise DecodeError(NOT_THERE)
    if count == 1:
        return (tuple(fragments),)
    if len(fragments) == count:
        return tuple((fragment,) for fragment in fragments)
    origin = fragments[0].offset - 8
    offsets = [fragment.offset - 8 - origin for fragment in fragments]
    signed = [
        offset
        for offset, fragment in zip(offsets, fragments, strict=True)
        if fragment.start.startswith((SOI, SOC_SIZ, JP2_SIGNATURE[:8]))
    ]
    for starts in (extended, table, signed):
        if _consistent(starts, offsets, count):
            return _grouped(fragments, [offsets.index(start) for start in starts])
    raise DecodeError(
        f"The pixel data have {len(fragments)} fragments of {count} frames, and no usable "
        "table of their offsets."
    )


def read_frame(file: BinaryIO, frame: Frame, stored_bytes: int) -> bytes:
    """Read the bytes of a frame that has ``stored_bytes`` without compression.

    Raises DecodeError where there are far more, or where the file ends within the frame.
    """
    most = MAX_EXPANSION * stored_bytes + ENCODED_SLACK_BYTES
    expected = sum(fragment.length for fragment in frame)
    if expected > most:
        raise DecodeError(f"A compressed frame has {expected} bytes, at most {most} are read.")
    parts = []
    for fragment in frame:
        file.seek(fragment.offset)
        parts.append(file.read(fragment.length))
    data = b"".join(parts)
    if len(data) < expected:
        raise DecodeError(
            f"A frame has {len(data)} of {expected} bytes: the file is truncated."
        )
    return data


def _consistent(starts: Sequence[int], offsets: Sequence[int], count: int) -> bool:
    ascending = all(first < second for first, second in pairwise(starts))
    return (
        len(starts) == count
        and starts[0] == 0
        and ascending
        and set(offsets).issuperset(starts)
    )


def _grouped(fragments: Sequence[Fragment], firsts: Sequence[int]) -> tuple[Frame, ...]:
    return tuple(
        tuple(fragments[first:last]) for first, last in pairwise([*firsts, len(fragments)])
    )


def _read_fragments(file: BinaryIO, count: int) -> tuple[Sequence[int], list[Fragment]]:
    """Read the Basic Offset Table and the headers of all fragments."""
    table, fragments = _read_table(file, count), list[Fragment]()
    while True:
        head = file.read(8)
        if len(head) < 8:
            break  # without the delimiter: some writers forget it
        group, element, length = struct.unpack("<HHI", head)
        tag = group << 16 | element
        if tag == SEQUENCE_DELIMITATION:
            break
        if tag != ITEM:
            raise DecodeError(
                "The compressed pixel data have no fragment where one is expected."
            )
        offset = file.tell()
        if length:
            fragments.append(Fragment(offset, length, file.read(min(length, 8))))
        if len(fragments) > MAX_FRAGMENTS * count:
            raise DecodeError(
                f"The pixel data have over {MAX_FRAGMENTS * count} fragments of {count} frames."
            )
        file.seek(offset + length)
    return table, fragments


def _read_table(file: BinaryIO, count: int) -> Sequence[int]:
    head = file.read(8)
    if len(head) < 8 or struct.unpack("<HH", head[:4]) != (ITEM >> 16, ITEM & 0xFFFF):
        raise DecodeError("The compressed pixel data begin with no offset table.")
    (length,) = struct.unpack("<I", head[4:])
    end = file.tell() + length
    entries = file.read(min(length, 4 * count))
    file.seek(end)
    return struct.unpack(f"<{len(entries) // 4}I", entries[: len(entries) // 4 * 4])
