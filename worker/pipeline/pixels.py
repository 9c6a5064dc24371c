"""The pixels of one slice: where they lie in a file, decoded when needed, as HU.

A frame of a multi-frame object is read without the others: only its bytes, wherever the
transfer syntax allows it.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.pixels import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from worker.pipeline import geometry
from worker.pipeline.results import PixelData

AIR_HU = -1024
MAX_HU = int(np.iinfo(np.int16).max)
PIXEL_DATA = (0x7FE0, 0x0010)

# What a decoder must be told (PS3.3 C.7.6.3), as pydicom names it.
NUMBERS = {
    "Rows": "rows",
    "Columns": "columns",
    "SamplesPerPixel": "samples_per_pixel",
    "BitsAllocated": "bits_allocated",
    "BitsStored": "bits_stored",
    "PixelRepresentation": "pixel_representation",
    "NumberOfFrames": "number_of_frames",
}

Image = npt.NDArray[np.float32]
Stored = npt.NDArray[np.generic]


class DecodeError(Exception):
    """Pixel data of one image that cannot be decoded to HU; the text is for a person."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From stored values to HU; stored values from ``padding[0]`` to ``[1]`` mean nothing."""

    slope: float
    intercept: float
    padding: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Slice:
    """All that is needed to decode one slice, in any thread."""

    source: PixelData
    options: Mapping[str, Any]
    scale: Scale

    def hu(self, inflated: bytes | None = None) -> Image:
        """(rows, columns) float32. Raises DecodeError.

        ``inflated`` : the value of the pixel data element, of a deflated file.
        """
        with decoding():
            stored = read_stored(self.source, self.options, inflated)
        if stored.ndim != 2:
            raise DecodeError(f"An image has {stored.ndim} dimensions, 2 are needed.")
        return to_hu(stored, self.scale)


@contextmanager
def decoding() -> Iterator[None]:
    """Whatever goes wrong inside is a DecodeError."""
    try:
        yield
    except DecodeError:
        raise
    except Exception as error:  # decoder plug-ins raise whatever they like
        raise DecodeError(f"The pixel data cannot be decoded: {error}") from error


def slice_of(source: PixelData, ds: Dataset) -> Slice:
    """What the header of a slice says of its pixels. Raises DecodeError."""
    options: dict[str, Any] = {"number_of_frames": 1, "pixel_keyword": "PixelData"}
    for keyword, option in NUMBERS.items():
        if (number := geometry.number_of(ds, keyword)) is not None:
            options[option] = int(number)
    options["photometric_interpretation"] = geometry.text_of(ds, "PhotometricInterpretation")
    tables = [
        geometry.value_of(ds, name)
        for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    ]
    if all(isinstance(table, bytes) for table in tables):
        options["extended_offsets"] = tuple(tables)
    return Slice(source, options, scale_of(ds))


def scale_of(ds: Dataset) -> Scale:
    """Rescale and padding of one slice. Raises DecodeError where HU stay unknown."""
    slope = geometry.number_of(ds, "RescaleSlope")
    intercept = geometry.number_of(ds, "RescaleIntercept")
    if slope is None or intercept is None or slope == 0:
        raise DecodeError("There is no usable rescale slope and intercept: HU are unknown.")
    padding = geometry.number_of(ds, "PixelPaddingValue")
    if padding is None:
        return Scale(slope, intercept, None)
    # PS3.3 C.7.5.1.1.2: the range limit is the other end of a range of padding values.
    limit = geometry.number_of(ds, "PixelPaddingRangeLimit")
    other = padding if limit is None else limit
    return Scale(slope, intercept, (min(padding, other), max(padding, other)))


def to_hu(stored: Stored, scale: Scale) -> Image:
    """Stored values → HU, (rows, columns) float32; padding and below −1024 become air.

    PS3.3 C.11.1: HU = stored value × slope + intercept. Ha 2024, Eq. 3 prints a minus sign
    before the intercept: with CT's usual intercept of −1024 that would make water 2048 HU,
    so it is a misprint.
    """
    hu = stored.astype(np.float32)
    hu *= np.float32(scale.slope)
    hu += np.float32(scale.intercept)
    np.clip(hu, AIR_HU, MAX_HU, out=hu)
    if scale.padding is not None:
        low, high = scale.padding
        hu[(stored >= low) & (stored <= high)] = AIR_HU  # type: ignore[operator]
    return hu


def read_stored(
    source: PixelData, options: Mapping[str, Any], inflated: bytes | None = None
) -> Stored:
    """The stored values of one slice, (rows, columns); the decoder may raise anything."""
    uid = UID(source.transfer_syntax_uid)
    if is_deflated(source):
        value = inflate(source.path) if inflated is None else inflated
        return _decode(uid, BytesIO(value), len(value), source.frame, options)
    with source.path.open("rb") as file:
        file.seek(source.offset)
        length = _enter_value(file, uid)
        return _decode(uid, file, length, source.frame, options)


def is_deflated(source: PixelData) -> bool:
    """Whether the file must be inflated whole to reach the pixels."""
    return source.transfer_syntax_uid == str(DeflatedExplicitVRLittleEndian)


def inflate(path: Path) -> bytes:
    """The value of the pixel data element of a deflated file. Raises DecodeError."""
    with decoding():
        value = dcmread(path)[PIXEL_DATA].value
    if not isinstance(value, bytes):
        raise DecodeError("The pixel data are no bytes.")
    return value


def _decode(
    uid: UID, file: BinaryIO, length: int, frame: int, options: Mapping[str, Any]
) -> Stored:
    if not uid.is_encapsulated:
        names = "rows", "columns", "samples_per_pixel", "bits_allocated"
        rows, columns, samples, bits = (int(options.get(name, 1)) for name in names)
        if length < rows * columns * samples * (bits // 8) * (frame + 1):
            raise DecodeError(f"There are {length} bytes of pixel data, more are needed.")
    stored, _ = get_decoder(uid).as_array(file, index=frame, **options)
    return np.asarray(stored)


def _enter_value(file: BinaryIO, uid: UID) -> int:
    """Read the head of the pixel data element and return its length (PS3.5 7.1)."""
    order = "<" if uid.is_little_endian else ">"
    head = file.read(8 if uid.is_implicit_VR else 12)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) != PIXEL_DATA:
        raise DecodeError("An image has no pixel data.")
    return int(struct.unpack(f"{order}I", head[-4:])[0])
