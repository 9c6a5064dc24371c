"""Limits of an encoded data set, at intake and in the worker, checked before it is decoded.

A sender is trusted to be a hospital's own device, not to be free of faults: each limit is far
above what CT images hold and far below what would stop a process.
"""

from dataclasses import dataclass

from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

MEGABYTE = 1024 * 1024

MAX_DEPTH = 32
"""Sequences within sequences; functional groups need 6. pydicom reads them by recursion."""
MAX_ITEMS = 10_000
"""Items of one sequence, so also frames of an image: 320 slices × 30 phases are 9,600."""
MAX_STRING_BYTES = 16 * 1024
"""Value of a text element: PS3.5 6.2 allows 64 characters, for names 3 × 64, a value."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one data set.

    ``elements`` : elements, items and fragments, also inside of sequences; pydicom takes about
    15 µs and 500 bytes for each. ``header_bytes`` : all that precedes the pixel data, which the
    worker holds in memory. ``items`` : of one sequence. ``string_bytes`` : of one text.
    """

    elements: int
    header_bytes: int
    items: int = MAX_ITEMS
    string_bytes: int = MAX_STRING_BYTES


SINGLE_FRAME = Limits(elements=20_000, header_bytes=8 * MEGABYTE)
"""A CT image has 80 to 500 elements. A reformat that refers twice to each of 3,000 source
images has 18,000. The largest headers hold spectral data of 1 to 4 MB in private elements."""
MULTI_FRAME = Limits(elements=500_000, header_bytes=64 * MEGABYTE)
"""2,000 frames with 250 elements each (a converted legacy series)."""
MULTI_FRAME_CLASSES = frozenset(
    uid.encode() for uid in (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
)
IDENTIFICATION = Limits(
    elements=MULTI_FRAME.elements,
    header_bytes=MULTI_FRAME.header_bytes,
    items=MULTI_FRAME.elements,
    string_bytes=MULTI_FRAME.header_bytes,
)
"""Of what precedes a UID, so that the series of a refused object is known."""

MAX_FRAME_PIXELS = 2048 * 2048
"""Rows × columns, the largest matrix of CT. A decoder needs about 25 bytes a pixel, in each of
up to 8 threads: 840 MB, with 4096 × 4096 pixels 3.4 GB."""
MAX_PIXELS = 1024 * MEGABYTE
"""Rows × columns × frames of an object, and × slices of a series: 4,096 of 512 × 512. JPEG 2000
decodes at 15 million a second."""

MAX_INFLATED_BYTES = 512 * MEGABYTE
"""1,000 frames of 512 × 512. The worker holds an inflated object in memory, twice for a
moment."""
FREE_INFLATED_BYTES = 32 * MEGABYTE
"""Up to here any ratio is fine: an image of one value deflates as well as a bomb does, 1000:1
(2048 × 2048 × 16 bits are 8 MB)."""
MAX_INFLATION_RATIO = 100
"""Simulated and real CT deflate to between 1:1.5 and 1:6 (512 × 512, zlib level 9)."""
