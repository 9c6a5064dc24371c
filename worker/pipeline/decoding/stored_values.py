"""Stored values from the bits of pixel cells (PS3.5 8.1.1), in every transfer syntax."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.decoding.pixel_format import PixelFormat

Cells = npt.NDArray[np.integer]
Stored = npt.NDArray[np.int64] | npt.NDArray[np.int32] | npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """Values of the pixels of one frame, (rows, columns).

    ``values`` : stored values, without the bits of a cell that are outside of BitsStored.
    ``cells`` : whole cells, in which a padding value may lie outside of the stored bits.
    """

    values: Cells
    cells: Cells


def stored_pixels(cells: Cells, pixels: PixelFormat, *, precision: int) -> StoredPixels:
    """Extract BitsStored bits below and with HighBit, with sign where they are signed.

    ``cells`` : (rows, columns), signed or unsigned; their lowest ``precision`` bits count.
    A codestream of BitsStored bits or fewer contains the stored values only, whatever HighBit
    is; one of more bits contains the whole cells (graphics in high bits among them). Whether
    stored values are signed is said by PixelRepresentation, because JPEG and JPEG-LS do not
    say it and encoders of JPEG 2000 often say it wrongly.

    Raises DecodeError.
    """
    patterns = _unsigned(cells, precision)
    if precision <= pixels.bits_stored:
        shift, bits = 0, precision
        _reject_unknown_sign(cells, pixels, precision)
    else:
        shift, bits = pixels.high_bit + 1 - pixels.bits_stored, pixels.bits_stored
        if precision <= pixels.high_bit:
            raise DecodeError(
                f"The compressed data have {precision} bits, over {pixels.high_bit} or at most "
                f"{pixels.bits_stored} are needed (HighBit, BitsStored)."
            )
    values = _low_bits(patterns >> patterns.dtype.type(shift), bits, signed=pixels.signed)
    return StoredPixels(values, _low_bits(patterns, precision, signed=pixels.signed))


def stored_padding(value: int, pixels: PixelFormat) -> int | None:
    """Return a padding value as a stored value, None where it has more than the stored bits.

    Both its VRs are accepted for both signs: −2000 is also written as 63536, or as 2096 where
    12 bits are stored.
    """
    bits = pixels.bits_stored
    cell = cell_padding(value, pixels)
    low, high = (
        (-(1 << bits - 1), (1 << bits - 1) - 1) if pixels.signed else (0, (1 << bits) - 1)
    )
    if low <= cell <= high:
        return cell
    if pixels.signed and high < cell < 1 << bits:
        return cell - (1 << bits)
    return None


def cell_padding(value: int, pixels: PixelFormat) -> int:
    """Return a padding value as the value of a whole cell."""
    pattern = value & (1 << pixels.bits_allocated) - 1
    negative = pixels.signed and pattern >> pixels.bits_allocated - 1
    return pattern - (1 << pixels.bits_allocated) if negative else pattern


def _reject_unknown_sign(cells: Cells, pixels: PixelFormat, precision: int) -> None:
    """Refuse fewer bits than are stored where they may be negative or large numbers."""
    if precision == pixels.bits_stored or not pixels.signed or cells.dtype.kind == "i":
        return
    if cells.max(initial=0) >> precision - 1:
        raise DecodeError(
            f"The compressed data have {precision} unsigned bits, {pixels.bits_stored} signed "
            "bits are needed (BitsStored, PixelRepresentation)."
        )


def _unsigned(cells: Cells, precision: int) -> Cells:
    """Return the lowest ``precision`` bits of each cell as an unsigned integer."""
    unsigned: Cells = cells.view(f"<u{cells.dtype.itemsize}")
    if precision == 8 * cells.dtype.itemsize:
        return unsigned
    return unsigned & unsigned.dtype.type((1 << precision) - 1)


def _low_bits(patterns: Cells, bits: int, *, signed: bool) -> Cells:
    """Return the lowest ``bits`` of unsigned patterns, as two's complement where signed."""
    width = 8 * patterns.dtype.itemsize
    if not signed:
        return patterns if bits == width else _unsigned(patterns, bits)
    signed_type = np.dtype(f"<i{width // 8}")
    shifted: Cells = (patterns << patterns.dtype.type(width - bits)).view(signed_type)
    values: Cells = shifted >> signed_type.type(width - bits)
    return values
