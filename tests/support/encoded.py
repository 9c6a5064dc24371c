"""Encoded data sets: deflated ones, and their identity as the Storage SCP reads it."""

import zlib

from common.dicom.sources import ReadAt
from storescp.store.identity import Identity, read_identity

MEGABYTE = 1024 * 1024


def deflate(encoded: bytes) -> bytes:
    """Return a data set in Deflated Explicit VR Little Endian."""
    stream = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return stream.compress(encoded) + stream.flush()


def reader(encoded: bytes) -> ReadAt:
    """Return the function by which a source reads these bytes."""
    return lambda position, length: encoded[position : position + length]


def identity_in(
    encoded: bytes, syntax: str, *, front: int = 0, max_bytes: int = 64 * MEGABYTE
) -> Identity:
    """Return the identity of a data set of which ``front`` bytes are in memory."""
    return read_identity(
        encoded[:front],
        syntax,
        size=len(encoded),
        read_at=reader(encoded),
        max_bytes=max_bytes,
    )
