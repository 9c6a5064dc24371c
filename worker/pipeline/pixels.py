"""Decoding of the pixels of one slice to HU.

Of a multi-frame object only the bytes of the wanted frame are read, where the transfer syntax
allows it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from common.dicom.encoding import UNDEFINED_LENGTH
from common.dicom.limits import MAX_INFLATED_BYTES
from worker.pipeline import header_values
from worker.pipeline.decoding.codecs import decode_frame
from worker.pipeline.decoding.codestream import read_codestream
from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.decoding.fragments import (
    NOT_THERE,
    Fragment,
    Frame,
    compressed_frames,
    read_frame,
)
from worker.pipeline.decoding.header import inflate_file
from worker.pipeline.decoding.pixel_format import PixelFormat, read_format
from worker.pipeline.decoding.stored_values import (
    StoredPixels,
    cell_padding,
    stored_padding,
    stored_pixels,
)
from worker.pipeline.limits import ENCODED_SLACK_BYTES, MAX_RESCALE
from worker.pipeline.volume import AIR_HU, PixelData

MAX_HU = int(np.iinfo(np.int16).max)
PIXEL_DATA = (0x7FE0, 0x0010)

Image = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scale:
    """Rescale of stored values to HU, and the range of those that are padding.

    ``padding_in_cells`` : the range is one of whole pixel cells, because it has more bits than
    are stored.
    """

    slope: float
    intercept: float
    padding: tuple[int, int] | None
    padding_in_cells: bool = False


@dataclass(frozen=True, slots=True)
class EncodedFrames:
    """Location of all frames of one object.

    ``inflated`` : data set of a deflated file, in which they lie; None where in the file.
    """

    frames: tuple[Frame, ...]
    compressed: bool
    inflated: bytes | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """Source, format and scale of one slice; decodes in any thread.

    ``count`` : frames of the object. ``extended`` : its Extended Offset Table.
    """

    source: PixelData
    pixels: PixelFormat
    scale: Scale
    count: int = 1
    extended: tuple[int, ...] = ()

    def locate(self) -> EncodedFrames:
        """Find the frames of the object, and inflate it where it is deflated.

        Raises DecodeError.
        """
        source = self.source
        inflated = self._inflate() if is_deflated(source) else None
        with BytesIO(inflated) if inflated is not None else source.path.open("rb") as file:
            file.seek(source.offset)
            length = _enter_value(file, UID(source.transfer_syntax_uid))
            if length == UNDEFINED_LENGTH:
                frames = compressed_frames(file, self.count, self.extended)
                return EncodedFrames(frames, True, inflated)
            return EncodedFrames(self._native_frames(file.tell(), length), False, inflated)

    def decode_hu(self, encoded: EncodedFrames | None = None) -> Image:
        """Return (rows, columns) float32 HU. Raises DecodeError.

        ``encoded`` : what ``locate`` returned for a slice of the same object.
        """
        encoded = self.locate() if encoded is None else encoded
        if self.source.frame >= len(encoded.frames):
            text = (
                f"There are {len(encoded.frames)} frames, {self.source.frame + 1} are needed."
            )
            raise DecodeError(text)
        frame = encoded.frames[self.source.frame]
        inflated, size = encoded.inflated, self.pixels.frame_bytes
        with self.source.path.open("rb") if inflated is None else BytesIO(inflated) as file:
            data = read_frame(file, frame, size)
        return to_hu(self._stored(data, compressed=encoded.compressed), self.scale)

    def _stored(self, data: bytes, *, compressed: bool) -> StoredPixels:
        if compressed:
            info = read_codestream(data, self.pixels)
            cells = decode_frame(data, info)
            return stored_pixels(cells, self.pixels, precision=info.precision)
        order = "<" if UID(self.source.transfer_syntax_uid).is_little_endian else ">"
        bits = self.pixels.bits_allocated
        cells = np.frombuffer(data, f"{order}u{bits // 8}").astype(f"<u{bits // 8}", copy=False)
        shape = self.pixels.rows, self.pixels.columns
        return stored_pixels(cells.reshape(shape), self.pixels, precision=bits)

    def _native_frames(self, start: int, length: int) -> tuple[Frame, ...]:
        """Return the frames of uncompressed pixel data of exactly the size in the header."""
        size = self.pixels.frame_bytes
        row = size // self.pixels.rows
        # Less than a row more is padding; more is another size than the header says.
        if not size * self.count <= length < size * self.count + max(row, 2):
            raise DecodeError(
                f"There are {length} bytes of pixel data, {size * self.count} are needed."
            )
        return tuple((Fragment(start + i * size, size),) for i in range(self.count))

    def _inflate(self) -> bytes:
        """Inflate a file as far as its pixel data may reach."""
        size = self.source.offset + self.count * self.pixels.frame_bytes
        if size > MAX_INFLATED_BYTES:
            raise DecodeError(
                f"A deflated file has {size} bytes, at most {MAX_INFLATED_BYTES} are read."
            )
        return inflate_file(self.source.path, size + ENCODED_SLACK_BYTES)


def describe_slice(source: PixelData, ds: Dataset) -> Slice:
    """Read from a header how to decode its slice. Raises DecodeError."""
    pixels = read_format(ds)
    count = header_values.number_of(ds, "NumberOfFrames") or 1
    table = header_values.value_of(ds, "ExtendedOffsetTable")
    extended: Sequence[int] = ()
    if isinstance(table, bytes) and len(table) == 8 * count:
        extended = struct.unpack(f"<{len(table) // 8}Q", table)
    return Slice(source, pixels, read_scale(ds, pixels), int(count), tuple(extended))


def read_scale(ds: Dataset, pixels: PixelFormat) -> Scale:
    """Return rescale and padding of one slice. Raises DecodeError without a usable rescale."""
    slope = header_values.number_of(ds, "RescaleSlope")
    intercept = header_values.number_of(ds, "RescaleIntercept")
    if slope is None or intercept is None or slope == 0:
        raise DecodeError("There is no usable rescale slope and intercept: HU are unknown.")
    if max(abs(slope), abs(intercept)) > MAX_RESCALE:
        raise DecodeError(
            f"The rescale slope is {slope:g} and the intercept {intercept:g}, at most "
            f"{MAX_RESCALE} are read."
        )
    padding = header_values.number_of(ds, "PixelPaddingValue")
    if padding is None:
        return Scale(slope, intercept, None)
    # PS3.3 C.7.5.1.1.2: the range limit is the other end of a range of padding values.
    limit = header_values.number_of(ds, "PixelPaddingRangeLimit")
    ends = (int(padding), int(padding if limit is None else limit))
    stored = [value for end in ends if (value := stored_padding(end, pixels)) is not None]
    in_cells = len(stored) < len(ends)
    values = [cell_padding(end, pixels) for end in ends] if in_cells else stored
    return Scale(slope, intercept, (min(values), max(values)), in_cells)


def to_hu(stored: StoredPixels, scale: Scale) -> Image:
    """Convert stored values to HU, (rows, columns) float32.

    Padding and values below −1024 become air. PS3.3 C.11.1: HU = stored value × slope +
    intercept. Ha 2024, Eq. 3 prints a minus sign before the intercept, a misprint: with the
    usual intercept of −1024 water would have 2048 HU.
    """
    hu = stored.values.astype(np.float32)
    hu *= np.float32(scale.slope)
    hu += np.float32(scale.intercept)
    np.clip(hu, AIR_HU, MAX_HU, out=hu)
    if scale.padding is not None:
        low, high = scale.padding
        compared = stored.cells if scale.padding_in_cells else stored.values
        hu[(compared >= low) & (compared <= high)] = AIR_HU
    return hu


def is_deflated(source: PixelData) -> bool:
    """Return whether the whole file must be inflated to reach the pixels."""
    return source.transfer_syntax_uid == str(DeflatedExplicitVRLittleEndian)


def locate_shared(slices: Sequence[Slice]) -> dict[Path, EncodedFrames]:
    """Find the frames of each multi-frame object once. Raises DecodeError."""
    first = {each.source.path: each for each in slices if each.count > 1}
    return {path: each.locate() for path, each in first.items()}


def _enter_value(file: BinaryIO, uid: UID) -> int:
    """Read the header of the pixel data element and return the length of its value.

    PS3.5 7.1.
    """
    order = "<" if uid.is_little_endian else ">"
    head = file.read(8 if uid.is_implicit_VR else 12)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) != PIXEL_DATA:
        raise DecodeError(NOT_THERE)
    return int(struct.unpack(f"{order}I", head[-4:])[0])
