"""Covered: bits of pixel cells in every transfer syntax, sign, padding, inconsistent bits.
Not covered: precisions of codestreams over 16 bits."""

from pathlib import Path
from typing import Any

import jpeg_ls
import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
)

from tests.support.compressed import ENCODERS, jpeg_2000, set_frames
from tests.support.ct_volume import ct_headers, load_series, write_ct
from worker.pipeline import load
from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.decoding.pixel_format import PixelFormat, read_format
from worker.pipeline.decoding.stored_values import stored_pixels
from worker.pipeline.results import Rejected

Cells = npt.NDArray[np.uint16]
NATIVE = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
SHAPE = 32, 40
PADDING = "PixelPaddingValue", "PixelPaddingRangeLimit"


def values(*, signed: bool) -> npt.NDArray[np.int16]:
    """Return stored values of 12 bits, with both ends of their range."""
    low = -2048 if signed else 0
    array = np.random.default_rng(1).integers(low, low + 4096, SHAPE).astype(np.int16)
    array[0, :2] = low, low + 4095
    return array


def hu_of(folder: Path, path: str, cells: Cells, **elements: Any) -> npt.NDArray[np.int16]:
    """Return the first slice of a series whose pixel cells are ``cells``."""
    if path in NATIVE:
        data, syntax = [], NATIVE[path]
    else:
        syntax, encode = ENCODERS[path]
        data = [encode(cells, folder)]

    padding = {name: elements.pop(name) for name in PADDING if name in elements}

    def change(_: int, ds: Dataset) -> None:
        for name, value in padding.items():
            ds.add_new(name, "SS" if value < 0 else "US", value)
        ds.PixelData = cells.tobytes()
        ds.file_meta.TransferSyntaxUID = syntax
        if data:
            set_frames(ds, syntax, data)

    zeros = np.zeros((10, *SHAPE), np.int16)
    elements = {"RescaleIntercept": 0, "BitsStored": 12, "HighBit": 11} | elements
    _, volume = load_series(write_ct(folder / "series", zeros, change=change, **elements))
    return volume.hu[0]


@pytest.mark.parametrize("path", [*NATIVE, *ENCODERS])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("shift", [0, 4], ids=["right", "left"])
def test_only_the_stored_bits_count(
    tmp_path: Path, path: str, signed: bool, shift: int
) -> None:
    stored = values(signed=signed)
    cells = (stored.view("<u2") & 0x0FFF) << shift
    cells[5:9] |= 0x5000 if shift == 0 else 0x0005  # graphics

    hu = hu_of(tmp_path, path, cells, PixelRepresentation=int(signed), HighBit=11 + shift)

    np.testing.assert_array_equal(hu, np.maximum(stored, -1024))


@pytest.mark.parametrize(
    ("bits", "signed_codestream", "representation", "bits_stored"),
    [
        (12, False, 0, 12),
        (12, False, 1, 12),
        (12, True, 0, 12),
        (12, True, 1, 12),
        (13, True, 0, 16),  # a precision that the encoder took from the values
        (12, False, 0, 16),
        (12, True, 1, 16),
        (16, True, 0, 12),
        (16, False, 1, 12),
    ],
)
def test_precision_and_sign_of_jpeg_2000_may_differ_from_the_header(
    tmp_path: Path, bits: int, signed_codestream: bool, representation: int, bits_stored: int
) -> None:
    stored = values(signed=representation == 1)
    cells = stored.view("<u2") & np.uint16(2**bits - 1)
    if signed_codestream:
        shift = 16 - bits
        encoded = jpeg_2000((cells << shift).view("<i2") >> shift, bits)
    else:
        encoded = jpeg_2000(cells, bits)

    hu = hu_of_frame(
        tmp_path,
        encoded,
        PixelRepresentation=representation,
        BitsStored=bits_stored,
        HighBit=bits_stored - 1,
    )

    np.testing.assert_array_equal(hu, np.maximum(stored, -1024))


def hu_of_frame(
    folder: Path, frame: bytes, syntax: str = JPEG2000Lossless, **elements: Any
) -> npt.NDArray[np.int16]:
    paths = write_ct(
        folder,
        np.zeros((10, *SHAPE), np.int16),
        change=lambda _, ds: set_frames(ds, syntax, [frame]),
        RescaleIntercept=0,
        **elements,
    )
    return load_series(paths)[1].hu[0]


def test_twelve_bits_on_the_left_may_be_compressed_as_twelve_bits(tmp_path: Path) -> None:
    stored = values(signed=False)

    hu = hu_of_frame(
        tmp_path,
        jpeg_2000(stored.view("<u2"), 12),
        PixelRepresentation=0,
        BitsStored=12,
        HighBit=15,
    )

    np.testing.assert_array_equal(hu, stored)


def format_of(**elements: Any) -> PixelFormat:
    return read_format(ct_headers(1, size=SHAPE, **elements)[0])


@pytest.mark.parametrize(
    ("precision", "elements", "text"),
    [
        (14, {"BitsStored": 12, "HighBit": 15}, "14 bits, over 15 or at most 12"),
        (12, {"PixelRepresentation": 1}, "12 unsigned bits, 16 signed bits"),
    ],
)
def test_bits_that_have_two_meanings_are_refused(
    precision: int, elements: dict[str, int], text: str
) -> None:
    cells = np.full(SHAPE, 2500, np.uint16)

    with pytest.raises(DecodeError, match=text):
        stored_pixels(cells, format_of(**elements), precision=precision)


@pytest.mark.parametrize(
    ("padding", "limit", "elements"),
    [
        (-2000, None, {"PixelRepresentation": 1}),
        (63536, None, {"PixelRepresentation": 1}),  # the VR US of a signed value
        (2096, None, {"PixelRepresentation": 1, "BitsStored": 12, "HighBit": 11}),
        (63536, None, {"PixelRepresentation": 0, "BitsStored": 12, "HighBit": 11}),
        (-2000, None, {"PixelRepresentation": 0, "BitsStored": 12, "HighBit": 11}),
        (-2000, -1999, {"PixelRepresentation": 1}),
    ],
)
@pytest.mark.parametrize("path", ["explicit", "implicit"])
def test_padding_is_recognized_by_the_bits_that_it_has(
    tmp_path: Path, path: str, padding: int, limit: int | None, elements: dict[str, int]
) -> None:
    """−2000 in cells of 16 bits; the lowest 12 bits of it are 2096, a value of bone."""
    cells = np.full(SHAPE, 1064, np.uint16)
    cells[:, 0] = 63536
    cells[:, 1] = 2097
    extra = {} if limit is None else {"PixelPaddingRangeLimit": limit}
    elements = {"BitsStored": 16, "HighBit": 15} | elements

    hu = hu_of(tmp_path, path, cells, PixelPaddingValue=padding, **extra, **elements)

    assert (hu[:, 0] == -1024).all()
    if not elements["PixelRepresentation"]:
        assert (hu[:, 1] == 2097).all()
    assert (hu[:, 2:] == 1064).all()


def test_padding_is_compared_without_the_graphics_in_high_bits(tmp_path: Path) -> None:
    cells = np.full(SHAPE, 1064, np.uint16)
    cells[:, 0] = 7 | 0x1000

    hu = hu_of(tmp_path, "jpeg-2000", cells, PixelPaddingValue=7, PixelRepresentation=0)

    assert (hu[:, 0] == -1024).all()


@pytest.mark.parametrize(
    ("elements", "text"),
    [
        ({"BitsStored": 17}, "BitsStored is 17, 1 to 16"),
        ({"BitsStored": 0}, "BitsStored is 0, 1 to 16"),
        ({"BitsStored": 12, "HighBit": 10}, "HighBit is 10, 11 to 15 is needed"),
        ({"BitsStored": 12, "HighBit": 16}, "HighBit is 16, 11 to 15 is needed"),
        ({"BitsAllocated": 12, "BitsStored": 12, "HighBit": 11}, "BitsAllocated is 12"),
        ({"PixelRepresentation": 2}, "PixelRepresentation is 2, 0 or 1"),
        ({"SamplesPerPixel": 3}, "SamplesPerPixel is 3, 1 is needed"),
        ({"Rows": 0}, "0 × 40 pixels"),
        ({"Rows": 4097}, "4097 × 40 pixels, 1 to 4096"),
    ],
)
def test_bits_and_sizes_that_do_not_agree_are_a_reason_with_value_and_expectation(
    tmp_path: Path, elements: dict[str, object], text: str
) -> None:
    rejected = load.read_series(
        write_ct(tmp_path, np.zeros((10, *SHAPE), np.int16), **elements)
    )

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code == "UNDECODABLE"
    assert text in rejected.reason.text
    assert rejected.checks[-1].rule == "pixel_format"


def test_bits_allocated_is_needed() -> None:
    with pytest.raises(DecodeError, match="no usable BitsAllocated"):
        format_of(BitsAllocated=None)


def test_high_bit_may_be_absent(tmp_path: Path) -> None:
    stored = values(signed=False)

    hu = hu_of(tmp_path, "explicit", stored.view("<u2"), HighBit=None, PixelRepresentation=0)

    np.testing.assert_array_equal(hu, stored)


def test_jpeg_ls_of_twelve_bits_takes_its_sign_from_the_header(tmp_path: Path) -> None:
    stored = values(signed=True)
    cells = stored.view("<u2") & 0x0FFF

    hu = hu_of_frame(
        tmp_path,
        bytes(jpeg_ls.encode_array(cells)),
        JPEGLSLossless,
        PixelRepresentation=1,
        BitsStored=12,
        HighBit=11,
    )

    np.testing.assert_array_equal(hu, np.maximum(stored, -1024))
