"""Covered: encoded data sets in every encoding: complete, truncated and hostile.

Partner: pydicom writes the data sets. Not covered: long fuzzing runs (tests/fuzz).
"""

import struct

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

from common.dicom.errors import Undecodable
from common.dicom.limits import MAX_DEPTH
from storescp.store.identity import Identity, read_identity
from storescp.store.refusal import MAX_COMMENT
from tests.support.ct_factory import ct_instance, encode
from tests.support.encoded import deflate, identity_in

PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)


def identity_of(ds: Dataset) -> Identity:
    return Identity(
        ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID
    )


def read(encoded: bytes, syntax: str = ExplicitVRLittleEndian) -> Identity:
    return identity_in(encoded, syntax)


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
    deflated = deflate(encode(ds))

    assert read(deflated, DeflatedExplicitVRLittleEndian) == identity_of(ds)
    with pytest.raises(Undecodable, match="truncated"):
        read(deflated[:-20], DeflatedExplicitVRLittleEndian)
    with pytest.raises(Undecodable, match="cannot be inflated"):
        read(b"\xff" * 100, DeflatedExplicitVRLittleEndian)


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

    with pytest.raises(Undecodable, match="nested over 32 deep"):
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
def test_any_bytes_give_an_identity_or_undecodable(encoded: bytes, syntax: str) -> None:
    assert len(answer(encoded, syntax)) <= MAX_COMMENT


ENCODED = encode(ct_instance(size=4))


@given(st.integers(0, len(ENCODED) - 1), st.integers(0, 255))
def test_any_changed_byte_gives_an_identity_or_undecodable(position: int, value: int) -> None:
    changed = bytearray(ENCODED)
    changed[position] = value
    assert len(answer(bytes(changed))) <= MAX_COMMENT


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_nothing_is_read_where_only_pixels_follow_the_front(syntax: str) -> None:
    ds = ct_instance()
    encoded = encode(ds, syntax)
    front = len(encoded) - len(ds.PixelData) + 4

    def fail(position: int, length: int) -> bytes:
        raise AssertionError((position, length))

    identity = read_identity(
        encoded[:front], syntax, size=len(encoded), read_at=fail, max_bytes=0
    )

    assert identity == identity_of(ds)


IN_EVERY_SYNTAX = {syntax: encode(ct_instance(), syntax) for syntax in PLAIN}
IN_EVERY_SYNTAX[DeflatedExplicitVRLittleEndian] = deflate(encode(ct_instance()))


@given(st.data())
def test_the_length_of_the_front_makes_no_difference(data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from(sorted(IN_EVERY_SYNTAX)))
    encoded = bytearray(IN_EVERY_SYNTAX[syntax])
    for _ in range(data.draw(st.integers(0, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(encoded[: data.draw(st.integers(0, len(encoded)))])

    def outcome(front: int) -> Identity | None:
        try:
            return identity_in(cut, syntax, front=front)
        except Undecodable:
            return None

    assert outcome(data.draw(st.integers(0, len(cut)))) == outcome(len(cut))
