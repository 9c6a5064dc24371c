"""What the rules for neighboring slices share: small slices, their differences, and faults."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Thumbnails = npt.NDArray[np.float32]

BODY_HU = -300.0
"""Pixels of a small slice above this value are body."""
EQUAL_HU = 5.0
"""Added to a difference in the denominator, so that equal slices have a ratio."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Slices with one fault. ``first``, ``last`` : indices; ``strength`` : ratio to limit."""

    first: int
    last: int
    words: str
    strength: float = np.inf


COMPARED_AT_ONCE = 16
"""Slices whose differences fit into the cache of a core (256 KB)."""


def differences(first: Floats, second: Floats) -> Floats:
    """Return the (n,) mean absolute differences of (n, rows, columns) and as many, or one."""
    second = np.broadcast_to(second, first.shape)
    found = np.empty(len(first), first.dtype)
    for start in range(0, len(first), COMPARED_AT_ONCE):
        part = slice(start, start + COMPARED_AT_ONCE)
        apart = first[part] - second[part]
        np.abs(apart, out=apart).mean(axis=(1, 2), out=found[part])
    return found
