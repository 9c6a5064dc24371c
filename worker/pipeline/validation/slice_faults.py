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


def differences(first: Floats, second: Floats) -> Floats:
    """Return the (n,) mean absolute differences of (n, rows, columns)."""
    return np.asarray(np.abs(first - second).mean(axis=(1, 2)))
