"""Mutate valid inputs: a few faults each."""

import random
import struct
from collections.abc import Callable, Sequence

INTERESTING = (
    0,
    1,
    2,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
FORMATS = ("<B", "<H", ">H", "<L", ">L")
# Tokens with a meaning in some format: delimiters, VRs, paths, padding.
TOKENS = (
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    b"\xfe\xff\x0d\xe0\0\0\0\0",
    b"\xfe\xff\xdd\xe0\0\0\0\0",
    b"\xe0\x7f\x10\x00OW\0\0\xff\xff\xff\xff",
    b"\x08\x00\x16\x00UI\x08\x00../../..",
    b"\x20\x00\x0e\x00UI\x0a\x00/etc/hosts",
    b"SQ\0\0\xff\xff\xff\xff",
    b"UN\0\0\xff\xff\xff\xff",
    b"\0" * 16,
    b"1.2.3\\1.2.4",
)

Fault = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """Return one of the corpus with one to four faults."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.randint(1, 4)):
        rng.choice(FAULTS)(rng, data, corpus)
    return bytes(data)


def _at(rng: random.Random, data: bytearray) -> int:
    """Return a position, more often near the start, where the headers are."""
    end = len(data) if rng.random() < 0.4 else min(len(data), 256)
    return rng.randrange(end + 1)


def _flip(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[_at(rng, data) % len(data)] ^= 1 << rng.randrange(8)


def _number(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    form = rng.choice(FORMATS)
    width = struct.calcsize(form)
    value = rng.choice(INTERESTING) & (256**width - 1)
    at = _at(rng, data)
    data[at : at + width] = struct.pack(form, value)


def _cut(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_at(rng, data) :]


def _delete(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = _at(rng, data)
    del data[at : at + rng.randint(1, 16)]


def _repeat(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at, count = _at(rng, data), rng.randint(1, 64)
    data[at:at] = data[at : at + count]


def _insert(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = _at(rng, data)
    data[at:at] = rng.choice(TOKENS) if rng.random() < 0.5 else rng.randbytes(rng.randint(1, 8))


def _splice(rng: random.Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    other = rng.choice(corpus)
    data[_at(rng, data) :] = other[_at(rng, bytearray(other)) :]


FAULTS: tuple[Fault, ...] = (_flip, _number, _cut, _delete, _repeat, _insert, _splice)
