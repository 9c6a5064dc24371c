"""Covered: the walk over encoded data sets in every encoding, whole, cut off and hostile.

Partner: pydicom writes the data sets. Not covered here: a long fuzzing run (tests/fuzz).
"""

import struct
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from storescp.dataset import (
    MAX_DEPTH,
    Identity,
    Undecodable,
    inflate,
    read_front_identity,
    read_identity,
)
from storescp.status import MAX_COMMENT
from tests.ct_factory import ct_instance, encode

MEGABYTE = 1024 * 1024
PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)


def identity_of(ds: Dataset) -> Identity:
    return Identity(
        ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID
    )


def read(encoded: bytes, syntax: str = ExplicitVRLittleEndian) -> Identity:
    return read_identity(encoded, syntax, max_bytes=MEGABYTE)


def answer(encoded: bytes, syntax: str = ExplicitVRLittleEndian) -> str:
    try:
        read(encoded, syntax)
    except Undecodable as error:
        return str(error)
    return ""


def nested(depth: int, *, undefined: bool = True) -> Dataset:
    ds = Dataset()
    ds.CodeValue = "1"
    for _ in range(depth):
        outer = Dataset()
        outer.ConceptCodeSequence = [ds]
        outer["ConceptCodeSequence"].is_undefined_length = undefined
        ds.is_undefined_length_sequence_item = undefined
        ds = outer
    return ds


@pytest.mark.parametrize("syntax", PLAIN)
@pytest.mark.parametrize("undefined", [True, False])
def test_uids_are_found_behind_nested_sequences(syntax: str, undefined: bool) -> None:
    ds = ct_instance()
    ds.AnatomicRegionSequence = [nested(3, undefined=undefined), nested(1)]
    ds["AnatomicRegionSequence"].is_undefined_length = undefined

    assert read(encode(ds, syntax), syntax) == identity_of(ds)


def test_uids_inside_of_sequences_are_not_the_instance_s() -> None:
    ds = ct_instance(SeriesInstanceUID=None)
    other = Dataset()
    other.SeriesInstanceUID = "1.2.3"
    ds.ReferencedSeriesSequence = [other]
    ds["ReferencedSeriesSequence"].is_undefined_length = True

    assert read(encode(ds)).series_instance_uid == ""


def test_compressed_pixel_data_is_followed_to_its_delimiter() -> None:
    ds = ct_instance()
    ds.PixelData = encapsulate([b"\xff\x4f" * 500, b"\xff\x4f" * 300])
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    encoded = encode(ds)

    assert read(encoded, JPEG2000Lossless) == identity_of(ds)
    for cut in (1, 8, 9, 400):
        with pytest.raises(Undecodable):
            read(encoded[:-cut], JPEG2000Lossless)


def test_deflated_data_sets_are_inflated() -> None:
    ds = ct_instance()
    deflated = _deflate(encode(ds))

    assert read(deflated, DeflatedExplicitVRLittleEndian) == identity_of(ds)
    with pytest.raises(Undecodable, match="truncated"):
        read(deflated[:-20], DeflatedExplicitVRLittleEndian)
    with pytest.raises(Undecodable, match="cannot be inflated"):
        read(b"\xff" * 100, DeflatedExplicitVRLittleEndian)


def test_a_deflate_bomb_is_not_inflated_beyond_the_limit() -> None:
    bomb = _deflate(bytes(50 * MEGABYTE))

    file = BytesIO()
    with pytest.raises(Undecodable, match="too large"):
        inflate(bomb, file, max_bytes=MEGABYTE)
    assert len(file.getvalue()) < 2 * MEGABYTE


@pytest.mark.parametrize("syntax", PLAIN)
def test_no_cut_within_pixel_data_passes(syntax: str) -> None:
    ds = ct_instance(size=16)
    encoded = encode(ds, syntax)

    for cut in range(1, len(ds.PixelData) + 8):
        with pytest.raises(Undecodable, match="ends within"):
            read(encoded[:-cut], syntax)


def test_the_reason_names_the_element_that_is_cut_off() -> None:
    with pytest.raises(Undecodable, match=r"ends within \(7FE0,0010\)"):
        read(encode(ct_instance())[:-10])


def test_zero_padding_at_the_end_is_tolerated() -> None:
    ds = ct_instance()

    assert read(encode(ds) + b"\0") == identity_of(ds)


def test_uids_lose_their_padding() -> None:
    ds = ct_instance(SOPInstanceUID="1.2.3")
    encoded = encode(ds).replace(b"1.2.3\0", b"1.2.3 ")

    assert read(encoded).sop_instance_uid == "1.2.3"


def test_a_sequence_in_un_is_followed_as_implicit_vr() -> None:
    item = struct.pack("<HHL", 0x0008, 0x0100, 2) + b"A1"
    sequence = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + item
    sequence += struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    unknown = struct.pack("<HH2sHL", 0x0009, 0x1010, b"UN", 0, 0xFFFFFFFF) + sequence
    ds = ct_instance()
    encoded = encode(ds)
    start = encoded.index(struct.pack("<HH", 0x0010, 0x0010))

    assert read(encoded[:start] + unknown + encoded[start:]) == identity_of(ds)


def test_depth_of_sequences_is_limited() -> None:
    header = struct.pack("<HH2sHL", 0x0008, 0x2218, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)

    with pytest.raises(Undecodable, match="nested too deeply"):
        read((header + item) * (MAX_DEPTH + 100_000))


@pytest.mark.parametrize(
    "encoded",
    [
        b"not a DICOM data set at all",
        b"\x08\x00\x16\x00",
        b"\x08\x00\x16\x00\x00\x00\x00\x00",
        struct.pack("<HHL", 0xFFFE, 0xE00D, 0),
        encode(ct_instance(), ImplicitVRLittleEndian),
    ],
)
def test_what_is_not_explicit_vr_is_undecodable(encoded: bytes) -> None:
    with pytest.raises(Undecodable):
        read(encoded)


@given(st.binary(max_size=300), st.sampled_from(PLAIN))
def test_any_bytes_are_an_answer_or_undecodable(encoded: bytes, syntax: str) -> None:
    assert len(answer(encoded, syntax)) <= MAX_COMMENT


ENCODED = encode(ct_instance(size=4))


@given(st.integers(0, len(ENCODED) - 1), st.integers(0, 255))
def test_any_changed_byte_is_an_answer_or_undecodable(position: int, value: int) -> None:
    changed = bytearray(ENCODED)
    changed[position] = value
    assert len(answer(bytes(changed))) <= MAX_COMMENT


def _deflate(encoded: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(encoded) + stream.flush()


def front(encoded: bytes, length: int, syntax: str = ExplicitVRLittleEndian) -> Identity | None:
    return read_front_identity(encoded[:length], syntax, size=len(encoded))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_the_front_is_enough_where_only_pixels_come_behind_it(syntax: str) -> None:
    ds = ct_instance()
    encoded = encode(ds, syntax)
    pixels = len(ds.PixelData)

    assert front(encoded, len(encoded) - pixels, syntax) == identity_of(ds)
    assert front(encoded, len(encoded) - pixels - 1, syntax) is None


IN_EVERY_SYNTAX = {
    syntax: encode(ct_instance(), syntax) for syntax in (*PLAIN, DeflatedExplicitVRLittleEndian)
}


@given(st.data())
def test_the_front_never_says_what_the_whole_does_not(data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from(sorted(IN_EVERY_SYNTAX)))
    encoded = bytearray(IN_EVERY_SYNTAX[syntax])
    for _ in range(data.draw(st.integers(0, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(encoded[: data.draw(st.integers(0, len(encoded)))])

    seen = front(cut, data.draw(st.integers(0, len(cut))), syntax)

    assert seen is None or seen == read(cut, syntax)
