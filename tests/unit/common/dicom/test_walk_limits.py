"""Covered: the limits of the walk over a data set, in plain and deflated encodings, bombs, and
large objects within the limits.

Partner: pydicom writes the data sets. Not covered: what is read (test_walk.py).
"""

import struct
import tracemalloc

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from common.dicom.elements import PIXEL_DATA
from common.dicom.errors import Undecodable
from common.dicom.limits import MAX_ITEMS, MEGABYTE, SINGLE_FRAME
from storescp.store.refusal import MAX_COMMENT
from tests.support.ct_factory import ct_instance, encode
from tests.support.encoded import deflate
from tests.support.walked import (
    PATIENT_ID,
    PLAIN,
    PRIVATE,
    TINY,
    UNDEFINED,
    enhanced,
    insert,
    item,
    refusal,
    sequence,
    walk,
    walk_header,
)


def test_the_number_of_elements_is_limited() -> None:
    assert "over 20000 elements" in refusal(insert(ct_instance(), TINY * 20_001))
    walk(insert(ct_instance(), TINY * 19_000))


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("defined_item", [True, False])
def test_elements_inside_of_sequences_count(defined: bool, defined_item: bool) -> None:
    content = item(TINY * 20_001, defined=defined_item)

    assert "elements" in refusal(insert(ct_instance(), sequence(content, defined=defined)))


@pytest.mark.parametrize("vr", [b"UN", b"SQ"])
def test_elements_inside_of_unknown_vrs_count(vr: bytes) -> None:
    tiny = struct.pack("<HHL", 0x7FD1, 0x1010, 0) if vr == b"UN" else TINY
    content = item(tiny * 20_001)

    assert "elements" in refusal(insert(ct_instance(), sequence(content, vr=vr)))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_elements_inside_of_sequences_count_in_every_encoding(syntax: str) -> None:
    code = Dataset()
    for number in range(250):
        code.add_new(PRIVATE + number, "LO", "")
    ds = ct_instance()
    ds.ConceptNameCodeSequence = [code] * 90

    assert "elements" in refusal(encode(ds, syntax), syntax)


def test_many_small_sequences_count() -> None:
    ds = ct_instance()
    element = sequence(item(TINY * 20))

    assert "elements" in refusal(insert(ds, element * 1_000))
    walk(insert(ds, element * 500))


@pytest.mark.parametrize("defined", [True, False])
def test_empty_frames_are_limited(defined: bool) -> None:
    ds = ct_instance(SOPClassUID=EnhancedCTImageStorage)

    bomb = insert(ds, sequence(item(b"") * 100_000, defined=defined))

    assert refusal(bomb) == f"sequence has over {MAX_ITEMS} items"


def test_a_large_enhanced_object_is_within_the_limits() -> None:
    walk(encode(enhanced(frames=1_500, elements=120)))


def test_an_object_of_one_frame_has_lower_limits() -> None:
    ds = enhanced(frames=1_500, elements=120)
    ds.SOPClassUID = ct_instance().SOPClassUID

    assert "over 20000 elements" in refusal(encode(ds))


def test_a_reformat_may_refer_to_all_its_source_images() -> None:
    ds = ct_instance()
    for keyword in ("ReferencedImageSequence", "SourceImageSequence"):
        reference = Dataset()
        reference.ReferencedSOPClassUID = ds.SOPClassUID
        reference.ReferencedSOPInstanceUID = ds.SOPInstanceUID
        setattr(ds, keyword, [reference] * 2_500)

    walk(encode(ds))


def test_fragments_count_as_elements() -> None:
    ds = ct_instance()
    encoded = encode(ds)[: -len(ds.PixelData) - 12]
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, UNDEFINED)
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)

    walk(encoded + pixels + item(b"ab") * 19_000 + end, JPEG2000Lossless)
    assert "elements" in refusal(encoded + pixels + item(b"") * 20_001 + end, JPEG2000Lossless)


def named(length: int) -> Dataset:
    ds = Dataset()
    ds[0x00100010] = RawDataElement(
        Tag(0x00100010), "PN", length, b"N" * length, 0, False, True
    )
    return ds


@pytest.mark.filterwarnings("ignore:The PN component length")
@pytest.mark.parametrize("length", [17_000, 10_000_000])
def test_a_text_longer_than_any_value_is_refused(length: int) -> None:
    ds = ct_instance()
    ds.update(named(length))
    inner = ct_instance(PatientName=None)
    inner.ReferencedPatientSequence = [named(length)]

    for one in (ds, inner):
        encoded = encode(one, ImplicitVRLittleEndian)
        assert refusal(encoded, str(ImplicitVRLittleEndian)) == (
            "(0010,0010) is over 16384 bytes"
        )


@pytest.mark.filterwarnings("ignore:The PN component length")
def test_a_text_of_explicit_vr_is_limited_too() -> None:
    ds = ct_instance()
    ds.update(named(17_000))

    assert refusal(encode(ds)) == "(0010,0010) is over 16384 bytes"


@pytest.mark.parametrize("syntax", PLAIN)
def test_long_binary_values_and_free_texts_are_accepted(syntax: str) -> None:
    ds = ct_instance(PatientComments="x" * 10_000)
    ds.add_new(PRIVATE, "OB", bytes(3 * MEGABYTE))
    ds.add_new(0x00081080 + 0x1000, "UT", "x" * 100_000)

    walk(encode(ds, syntax), syntax)


def test_the_header_is_limited() -> None:
    ds = ct_instance()
    ds.add_new(PRIVATE, "OB", bytes(SINGLE_FRAME.header_bytes))

    assert refusal(encode(ds)) == "header is over 8 MB"


def test_bytes_after_the_pixel_data_are_not_header() -> None:
    ds = ct_instance()
    ds.add_new(0x7FE11010, "OB", bytes(SINGLE_FRAME.header_bytes))

    walk(encode(ds))


@pytest.mark.parametrize("syntax", PLAIN)
def test_images_of_impossible_size_are_refused(syntax: str) -> None:
    huge = ct_instance(Rows=10_000, Columns=10_000)
    many = ct_instance(Rows=2048, Columns=2048, NumberOfFrames=300)

    assert refusal(encode(huge, syntax), syntax) == "image is over 4194304 pixels"
    assert "in all frames" in refusal(encode(many, syntax), syntax)
    walk(encode(ct_instance(Rows=2048, Columns=2048), syntax), syntax)


@pytest.mark.parametrize("frames", [b"", b"one", b"-3", b"9" * 30])
def test_any_number_of_frames_gives_an_answer(frames: bytes) -> None:
    ds = ct_instance(NumberOfFrames="123456789012")
    encoded = encode(ds).replace(b"123456789012", frames[:12].ljust(12))

    if frames.startswith(b"9"):
        assert "in all frames" in refusal(encoded)
    else:
        walk(encoded)


def test_a_damaged_sequence_cannot_hide_elements() -> None:
    hidden = sequence(item(b"no" + TINY * 30_000))

    assert "elements" in refusal(insert(ct_instance(), hidden))


def zeros(megabytes: int) -> bytes:
    return struct.pack("<HH2sHL", 0x7FD1, 0x1010, b"OB", 0, megabytes * MEGABYTE) + bytes(
        megabytes * MEGABYTE
    )


@pytest.mark.parametrize("kind", ["zero", "tiny", "pixels", "after the pixels"])
def test_a_bomb_is_refused_without_memory(kind: str) -> None:
    ds = ct_instance()
    if kind == "pixels":
        ds.PixelData = bytes(150 * MEGABYTE)
        bomb = deflate(encode(ds))
    elif kind == "tiny":
        bomb = deflate(insert(ds, TINY * (8 * MEGABYTE)))
    elif kind == "zero":
        bomb = deflate(insert(ds, zeros(150)))
    else:
        bomb = deflate(encode(ds) + struct.pack("<HHL", 0xFFFC, 0xFFFC, 0) + bytes(10**8))

    tracemalloc.start()
    with pytest.raises(Undecodable) as error:
        walk(bomb, DeflatedExplicitVRLittleEndian)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(str(error.value)) <= MAX_COMMENT
    assert peak < 3 * MEGABYTE


def test_an_image_of_one_value_may_deflate_as_well_as_a_bomb() -> None:
    ds = ct_instance(Rows=2048, Columns=2048)
    ds.PixelData = bytes(2048 * 2048 * 2)
    deflated = deflate(encode(ds))

    assert len(deflated) * 500 < len(ds.PixelData)
    assert PATIENT_ID in walk(deflated, DeflatedExplicitVRLittleEndian)
    assert PIXEL_DATA not in walk(deflated, DeflatedExplicitVRLittleEndian, header_only=True)


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("defined_item", [True, False])
def test_implicit_items_in_explicit_data_are_walked(defined: bool, defined_item: bool) -> None:
    tiny = struct.pack("<HHL", 0x7FD1, 0x1010, 0)
    few = sequence(item(tiny * 100, defined=defined_item), defined=defined)
    many = sequence(item(tiny * 20_001, defined=defined_item), defined=defined)

    walked = walk_header(insert(ct_instance(), few))

    assert walked.elements > 100
    assert "elements" in refusal(insert(ct_instance(), many))


@pytest.mark.parametrize("vr", [b"UT", b"UN", b"OB"])
def test_a_name_is_limited_whatever_its_vr(vr: bytes) -> None:
    name = struct.pack("<HH2sHL", 0x0010, 0x0010, vr, 0, 17_000) + bytes(17_000)

    assert refusal(insert(ct_instance(), name)) == "(0010,0010) is over 16384 bytes"
