"""The elements of an encoded data set, one after the other, counted against the limits."""

import struct
from collections.abc import Callable, Collection

from common.dicom.encoding import (
    ENCODED_ITEM,
    IMPLICIT,
    ITEM,
    ITEM_DELIMITATION,
    LONG_VRS,
    RAW_ITEM,
    SEQUENCE_DELIMITATION,
    SHORT_VRS,
    UNDEFINED_LENGTH,
    Header,
    Scope,
    is_text,
    of_item,
)
from common.dicom.errors import LimitExceeded, Undecodable
from common.dicom.limits import (
    MAX_DEPTH,
    MAX_STRING_BYTES,
    MEGABYTE,
    MULTI_FRAME,
    MULTI_FRAME_CLASSES,
    SINGLE_FRAME,
    Limits,
)
from common.dicom.sources import WINDOW_BYTES, Source

SOP_CLASS_UID = 0x00080016
PIXEL_DATA = 0x7FE00010
# Float, Double Float and Pixel Data (PS3.3 C.7.6.3, C.7.6.24).
PIXEL_DATA_TAGS = frozenset((0x7FE00008, 0x7FE00009, PIXEL_DATA))
PIXEL_GROUP = PIXEL_DATA >> 16
PER_FRAME_GROUPS = 0x52009230

SMALL_SEQUENCE_BYTES = 512
"""A sequence that is not walked: it holds at most 64 elements and 32 levels of 16 bytes."""


class Elements:
    """Reads elements by position, forward only, in the windows of a source.

    ``found`` : encoded values of the wanted elements of the data set itself. ``count`` : of
    elements, items and fragments. ``frames`` : items of Per-Frame Functional Groups.
    """

    def __init__(
        self, source: Source, *, header_only: bool, limits: Limits = SINGLE_FRAME
    ) -> None:
        """``header_only`` : pixel data are not walked, their end is their start."""
        self.found: dict[int, bytes] = {}
        self.count = self.frames = 0
        self._source = source
        self.header_only = header_only
        self._data = source.front
        self._base = 0  # position of the first byte of _data
        self.limits = limits  # SINGLE_FRAME until an object of many frames exceeds them

    def is_padding(self, position: int) -> bool:
        """Return whether less than a header is left, all of it zero."""
        if position + 8 <= self._base + len(self._data):
            return False
        self._move(position)
        return len(self._data) < 8 and not any(self._data)

    def _move(self, position: int) -> None:
        self._data = self._source.window(position)
        self._base = position

    def _move_to_header(self, position: int) -> None:
        """Read more of a header that the window ends within; raises Undecodable."""
        known = len(self._data) if self._base == position else -1
        self._move(position)
        if len(self._data) == known:
            raise Undecodable("data set ends within the header of an element")

    def keep(self, tag: int, start: int, end: int) -> None:
        """Keep the value of an element that was just read."""
        if end - start > WINDOW_BYTES or start < self._base:  # too long, or a sequence
            return
        if end > self._base + len(self._data):
            self._move(start)
            if end > self._base + len(self._data):
                raise Undecodable("data set ends within its front")
        self.found[tag] = self._data[start - self._base : end - self._base]

    def pass_short(self, position: int, scope: Scope, wanted: Collection[int]) -> int:
        """Pass elements that are short, no sequences, and whole in the window.

        They are most: a loop without calls is twice as fast as ``_element``. Returns the
        position of the first other element.
        """
        data, base, syntax, found = self._data, self._base, scope.syntax, self.found
        at, count = position - base, 0
        end = min(len(data), scope.size - base)
        last = end - 12  # of a header and the first bytes of the value
        explicit, read = syntax.explicit, syntax.header if syntax.explicit else syntax.peek
        while at <= last:
            if explicit:
                group, element, vr, length = read(data, at)
                if vr not in SHORT_VRS:
                    break
            else:
                group, element, length, begin = read(data, at)
                if begin == RAW_ITEM or group == PIXEL_GROUP:
                    break
            after = at + 8 + length
            if length > MAX_STRING_BYTES or after > end:
                break
            tag = group << 16 | element
            if tag in wanted:
                found[tag] = data[at + 8 : after]
            at = after
            count += 1
        self._spend(count)
        return base + at

    def element(self, position: int, scope: Scope) -> tuple[int, int, int]:
        """Return tag, start of the value and end of an element, after a walk of its items."""
        syntax, size = scope.syntax, scope.size
        at, start, vr, nested = position - self._base, position + 8, b"", False
        try:
            if syntax.explicit:
                group, element, vr, length = syntax.header(self._data, at)
                if vr not in SHORT_VRS:
                    (length,) = syntax.long(self._data, at + 8)
                    start += 4
                    nested = self._is_sequence(vr, length, at + 12)
            else:
                group, element, length = syntax.item(self._data, at)
                nested = length >= 8 and self._starts_with_item(at + 8)
        except struct.error:
            self._move_to_header(position)
            return self.element(position, scope)
        self._spend(1)
        tag, end = group << 16 | element, start + length
        if self.header_only and tag in PIXEL_DATA_TAGS and not scope.depth:
            return tag, start, start
        if nested or length > MAX_STRING_BYTES:
            end = self._end_of(Header(tag, vr, start, length), scope, nested=nested)
        if end > size:
            raise Undecodable(f"data set ends within ({group:04X},{element:04X})")
        return tag, start, end

    def _is_sequence(self, vr: bytes, length: int, at: int) -> bool:
        if vr == b"UN":
            # PS3.5 6.2.2: a sequence in UN is Implicit VR Little Endian.
            return length >= 8 and self._starts_with_item(at)
        if vr not in LONG_VRS:
            raise Undecodable(f"byte {self._base + at - 12}: no value representation")
        return vr == b"SQ"

    def _starts_with_item(self, at: int) -> bool:
        begin = self._data[at : at + 4]
        if len(begin) < 4:
            raise struct.error
        return begin == ENCODED_ITEM

    def _end_of(self, header: Header, scope: Scope, *, nested: bool) -> int:
        """Return the end of a sequence, of fragments, or of a long value."""
        tag, vr, start, length = header
        syntax = IMPLICIT if vr == b"UN" else scope.syntax
        inner = Scope(syntax, scope.depth + 1, scope.size, tag)
        if length == UNDEFINED_LENGTH:
            fragments = vr in (b"OB", b"OW") or tag == PIXEL_DATA
            return self._items(start, inner, undefined=True, fragments=fragments)
        end = start + length
        if nested and length <= SMALL_SEQUENCE_BYTES and tag != PER_FRAME_GROUPS:
            self._spend(length // 8)
        elif nested:
            self._bounded(start, inner, end, self._items)
        elif length > self.limits.string_bytes and is_text(tag, vr):
            raise LimitExceeded(
                f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is over {MAX_STRING_BYTES} bytes"
            )
        return end

    def _bounded(
        self, position: int, scope: Scope, end: int, walk: Callable[[int, Scope], int]
    ) -> int:
        """Walk what has a defined length; return its end.

        An error in it is no reason to refuse the data set: it can be skipped. What follows the
        error is counted as if it were the smallest elements.
        """
        if end > scope.size:
            raise Undecodable("data set ends within a sequence")
        try:
            walk(position, Scope(scope.syntax, scope.depth, end, scope.sequence))
        except LimitExceeded:
            raise
        except Undecodable:
            self._spend((end - max(position, self._base)) // 8)
        return end

    def _items(
        self, position: int, scope: Scope, *, undefined: bool = False, fragments: bool = False
    ) -> int:
        """Walk items of a sequence or fragments of pixel data (PS3.5 A.4); return the end.

        ``undefined`` : the length is, and a delimiter must follow.
        """
        if scope.depth > MAX_DEPTH:
            raise LimitExceeded(f"sequences are nested over {MAX_DEPTH} deep")
        items = 0
        while undefined or position < scope.size:
            tag, length = self._item_header(position, scope)
            position += 8
            if tag == SEQUENCE_DELIMITATION:
                return position
            if tag != ITEM:
                raise Undecodable(f"byte {position - 8}: item expected")
            items += 1
            if fragments:
                position += length
                continue
            if items > self.limits.items:
                raise LimitExceeded(f"sequence has over {self.limits.items} items")
            position = self._item(position, scope, length)
        return position

    def _item(self, position: int, scope: Scope, length: int) -> int:
        """Walk an item; return its end."""
        if scope.depth == 1 and scope.sequence == PER_FRAME_GROUPS:
            self.frames += 1
        if not length:
            return position
        if scope.syntax.explicit:
            scope = self._scope_of_item(position, scope)
        if length != UNDEFINED_LENGTH:
            return self._bounded(position, scope, position + length, self._elements)
        while self._item_header(position, scope)[0] != ITEM_DELIMITATION:
            _, _, position = self.element(position, scope)
        return position + 8

    def _scope_of_item(self, position: int, scope: Scope) -> Scope:
        if position + 6 > self._base + len(self._data):
            self._move(position)
        vr = self._data[position - self._base + 4 : position - self._base + 6]
        syntax = of_item(vr, scope.syntax)
        return scope if syntax is scope.syntax else scope._replace(syntax=syntax)

    def _elements(self, position: int, scope: Scope) -> int:
        while (position := self.pass_short(position, scope, ())) < scope.size:
            _, _, position = self.element(position, scope)
        return position

    def _item_header(self, position: int, scope: Scope) -> tuple[int, int]:
        if position + 8 > scope.size:
            raise Undecodable("data set ends within a sequence")
        try:
            group, element, length = scope.syntax.item(self._data, position - self._base)
        except struct.error:
            self._move_to_header(position)
            return self._item_header(position, scope)
        self._spend(1)
        return group << 16 | element, length

    def _spend(self, elements: int) -> None:
        """Count elements; raises LimitExceeded."""
        self.count += elements
        if self.count <= self.limits.elements:
            return
        self._widen_limits()
        if self.count > self.limits.elements:
            raise LimitExceeded(f"data set has over {self.limits.elements} elements")

    def check_header(self, end: int) -> None:
        """Check the end of an element before the pixel data; raises LimitExceeded."""
        self._widen_limits()
        if end > self.limits.header_bytes:
            raise LimitExceeded(f"header is over {self.limits.header_bytes // MEGABYTE} MB")

    def _widen_limits(self) -> None:
        """Take those of many frames if the SOP class, where wanted and known yet, has them."""
        sop_class_uid = self.found.get(SOP_CLASS_UID, b"").rstrip(b"\0 ")
        if self.limits is SINGLE_FRAME and sop_class_uid in MULTI_FRAME_CLASSES:
            self.limits = MULTI_FRAME
