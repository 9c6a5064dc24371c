"""Bytes of an encoded data set, in windows and forward only, so that memory is bounded."""

import zlib
from collections.abc import Callable
from typing import Protocol

from pydicom.uid import DeflatedExplicitVRLittleEndian

from common.dicom.errors import LimitExceeded, Undecodable
from common.dicom.limits import (
    FREE_INFLATED_BYTES,
    MAX_INFLATED_BYTES,
    MAX_INFLATION_RATIO,
)

WINDOW_BYTES = 16 * 1024
INFLATE_BYTES = 256 * 1024

ReadAt = Callable[[int, int], bytes]
"""Return up to so many bytes (second) of the encoded data set from an offset (first)."""


class Source(Protocol):
    """An encoded data set. ``front`` : its first bytes. ``size`` : no element ends behind."""

    front: bytes
    size: int

    def window(self, position: int) -> bytes:
        """Return the bytes from ``position`` on, at least ``WINDOW_BYTES`` unless it ends.

        ``position`` never decreases. Raises Undecodable where the data set ends before it.
        """
        ...

    def finish(self) -> None:
        """Check what follows the last window; raises Undecodable."""
        ...


class PlainSource:
    """A data set of known ``size``, of which ``front`` is in memory already."""

    def __init__(self, front: bytes, size: int, read_at: ReadAt | None = None) -> None:
        """``read_at`` : None where no more than ``front`` can be read."""
        self.front = front
        self.size = size
        self._read_at = read_at

    def window(self, position: int) -> bytes:
        """As ``Source``."""
        return b"" if self._read_at is None else self._read_at(position, WINDOW_BYTES)

    def finish(self) -> None:
        """As ``Source``."""


class InflatedSource:
    """A data set in Deflated Explicit VR Little Endian (PS3.5 A.5), inflated as it is read.

    ``size`` is the largest one allowed. Nothing is kept but the window.
    """

    def __init__(self, read_at: ReadAt, *, max_bytes: int = MAX_INFLATED_BYTES) -> None:
        self.size = min(max_bytes, MAX_INFLATED_BYTES)
        self._read_at = read_at
        self._stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        self._pending = b""  # read, not inflated yet
        self._read = 0
        self._end = 0  # position of the end of the window
        self._window = b""
        self.front = self.window(0)

    def window(self, position: int) -> bytes:
        """As ``Source``."""
        while self._end < position + WINDOW_BYTES and (part := self._inflate()):
            begin = self._end - len(self._window)
            kept = self._window[position - begin :] if position < self._end else b""
            self._end += len(part)
            self._window = kept + part
        begin = self._end - len(self._window)
        if position > self._end:
            raise Undecodable("data set ends within its last element")
        return self._window[position - begin :]

    def read_front(self, size: int) -> bytes:
        """Return the first ``size`` bytes, fewer where it ends. No window was read before.

        Raises Undecodable.
        """
        parts = [self._window]
        while self._end < size and (part := self._inflate()):
            self._end += len(part)
            parts.append(part)
        return b"".join(parts)[:size]

    def finish(self) -> None:
        """As ``Source``: inflate the rest."""
        while part := self._inflate():
            self._end += len(part)

    def _inflate(self) -> bytes:
        """Return the next bytes, none at the end of the stream. Raises Undecodable."""
        part = b""
        while not part and not self._stream.eof:
            encoded = self._pending or self._read_at(self._read, INFLATE_BYTES)
            if not encoded:
                raise Undecodable("deflated data set is truncated")
            if not self._pending:
                self._read += len(encoded)
            try:
                part = self._stream.decompress(encoded, INFLATE_BYTES)
            except zlib.error:
                raise Undecodable("deflated data set cannot be inflated") from None
            self._pending = self._stream.unconsumed_tail
        self._check(self._end + len(part))
        return part

    def _check(self, inflated: int) -> None:
        if inflated > self.size:
            raise LimitExceeded("deflated data set is too large")
        consumed = self._read - len(self._pending)
        if inflated > FREE_INFLATED_BYTES and inflated > MAX_INFLATION_RATIO * consumed:
            raise LimitExceeded(f"deflated data set inflates over {MAX_INFLATION_RATIO}:1")


def open_source(
    transfer_syntax_uid: str, front: bytes, size: int, read_at: ReadAt, *, max_bytes: int
) -> Source:
    """Return the source of an encoded data set of ``size`` bytes that begins with ``front``.

    ``max_bytes`` : limit of a deflated data set after inflation. Raises Undecodable.
    """
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        return InflatedSource(read_at, max_bytes=max_bytes)
    return PlainSource(front, size, read_at)
