"""Size and bits of the pixels of an image (PS3.3 C.7.6.3, PS3.5 8.1.1), and their rule."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset

from common.dicom.limits import MAX_FRAME_PIXELS, MAX_PIXELS
from worker.pipeline import header_values
from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.limits import MAX_SIDE_PIXELS, MAX_SLICES
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult

BITS_ALLOCATED = (8, 16, 32)

ATTRIBUTES = (
    "SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Image Pixel attributes that agree with each other and with the limits.

    ``high_bit`` : bit of a pixel cell that holds the highest bit of the stored value.
    ``signed`` : stored values are two's complement.
    """

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame without compression."""
        return self.rows * self.columns * self.bits_allocated // 8


def read_format(ds: Dataset) -> PixelFormat:
    """Read the format of the pixels from a header. Raises DecodeError with value and limit."""
    samples = _integer(ds, "SamplesPerPixel", 1)
    if samples != 1:
        raise DecodeError(f"SamplesPerPixel is {samples}, 1 is needed.")
    rows, columns = _integer(ds, "Rows"), _integer(ds, "Columns")
    if min(rows, columns) < 1 or max(rows, columns) > MAX_SIDE_PIXELS:
        raise DecodeError(
            f"An image has {rows} × {columns} pixels, 1 to {MAX_SIDE_PIXELS} a side are read."
        )
    if rows * columns > MAX_FRAME_PIXELS:
        raise DecodeError(
            f"An image has {rows} × {columns} pixels, at most {MAX_FRAME_PIXELS} are read."
        )
    allocated = _integer(ds, "BitsAllocated")
    if allocated not in BITS_ALLOCATED:
        raise DecodeError(f"BitsAllocated is {allocated}, 8, 16 or 32 is needed.")
    stored = _integer(ds, "BitsStored")
    if not 1 <= stored <= allocated:
        raise DecodeError(
            f"BitsStored is {stored}, 1 to {allocated} (BitsAllocated) is needed."
        )
    high_bit = _integer(ds, "HighBit", stored - 1)
    if not stored - 1 <= high_bit < allocated:
        raise DecodeError(
            f"HighBit is {high_bit}, {stored - 1} to {allocated - 1} is needed (BitsStored is "
            f"{stored}, BitsAllocated is {allocated})."
        )
    representation = _integer(ds, "PixelRepresentation")
    if representation not in (0, 1):
        raise DecodeError(f"PixelRepresentation is {representation}, 0 or 1 is needed.")
    return PixelFormat(rows, columns, allocated, stored, high_bit, representation == 1)


def unreadable_pixels(headers: Sequence[Dataset]) -> RuleResult:
    """Require formats of the pixels that can be decoded, within the limits of a series."""
    if len(headers) > MAX_SLICES:
        text = f"The series has {len(headers)} slices, at most {MAX_SLICES} are read."
        return Reason(ReasonCode.UNDECODABLE, text)
    try:
        formats = header_values.read_each(headers, ATTRIBUTES, read_format)
    except DecodeError as error:
        return Reason(ReasonCode.UNDECODABLE, str(error))
    voxels = sum(each.rows * each.columns for each in formats)
    if voxels > MAX_PIXELS:
        text = f"The series has {voxels} voxels, at most {MAX_PIXELS} are read."
        return Reason(ReasonCode.UNDECODABLE, text)
    bits = sorted({each.bits_stored for each in formats})
    return f"{voxels / 1e6:.1f} million voxels of {' or '.join(map(str, bits))} bits."


def _integer(ds: Dataset, keyword: str, default: int | None = None) -> int:
    number = header_values.number_of(ds, keyword)
    if number is None and (default is None or keyword in ds):
        raise DecodeError(f"There is no usable {keyword}, an integer is needed.")
    if number is None:
        return int(default or 0)
    if number != int(number):
        raise DecodeError(f"{keyword} is {number:g}, an integer is needed.")
    return int(number)
