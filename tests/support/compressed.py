"""Compressed frames of arrays, encoded with parameters that differ from the header."""

import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import jpeg_ls
import numpy as np
import numpy.typing as npt
from openjpeg.utils import encode_array
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.ct_volume import write_ct

Cells = npt.NDArray[np.uint16]
Encoder = Callable[[Cells, Path], bytes]


def jpeg_2000(cells: npt.NDArray[np.integer], bits: int = 16) -> bytes:
    """Encode (rows, columns) with a precision; signed where the array is."""
    return bytes(
        encode_array(
            np.ascontiguousarray(cells),
            bits_stored=bits,
            photometric_interpretation=2,
            codec_format=0,
            use_mct=False,
        )
    )


def _jpeg_lossless(cells: Cells, folder: Path) -> bytes:
    """Encode all 16 bits by dcmcjpeg, whose precision is that of BitsAllocated."""
    folder = folder / "jpeg"
    path = write_ct(folder, cells[None].astype(np.int32) - 1024, PixelRepresentation=0)[0]
    compressed = folder / "compressed.dcm"
    subprocess.run(["dcmcjpeg", "+e1", path, compressed], check=True)
    return next(generate_frames(dcmread(compressed).PixelData, number_of_frames=1))


def _rle(cells: Cells, folder: Path) -> bytes:
    shifted = cells.astype(np.int32)[None] - 1024
    path = write_ct(folder / "rle", shifted, compress=RLELossless, PixelRepresentation=0)[0]
    return next(generate_frames(dcmread(path).PixelData, number_of_frames=1))


ENCODERS: dict[str, tuple[str, Encoder]] = {
    "jpeg-2000": (JPEG2000Lossless, lambda cells, _: jpeg_2000(cells)),
    "jpeg-2000-signed": (
        JPEG2000Lossless, lambda cells, _: jpeg_2000(cells.view("<i2"))
    ),
    "jpeg-ls": (JPEGLSLossless, lambda cells, _: bytes(jpeg_ls.encode_array(cells))),
    "rle": (RLELossless, _rle),
    "jpeg-lossless": (JPEGLosslessSV1, _jpeg_lossless),
}  # fmt: skip
if shutil.which("dcmcjpeg") is None:
    del ENCODERS["jpeg-lossless"]


def encapsulated(ds: Dataset, frames: Sequence[bytes]) -> Dataset:
    """Replace the pixel data by compressed frames; return the data set."""
    ds.PixelData = encapsulate(list(frames))
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return ds


def set_frames(ds: Dataset, syntax: str, frames: Sequence[bytes]) -> None:
    """Replace the pixel data by compressed frames, and the transfer syntax by theirs."""
    encapsulated(ds, frames)
    ds.file_meta.TransferSyntaxUID = syntax


def item(value: bytes) -> bytes:
    """Return a fragment, or an offset table, as an item (PS3.5 A.4)."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value
