"""Covered: the limits of the walk over a data set, in plain and deflated encodings, and large
objects within the limits.

Partner: pydicom writes the data sets. Not covered: truncated ones (storescp/store).
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
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from common.dicom import walk as subject
from common.dicom.elements import PIXEL_DATA, SOP_CLASS_UID
from common.dicom.encoding import EXPLICIT, syntax_of
from common.dicom.errors import LimitExceeded, Undecodable
from common.dicom.limits import MAX_ITEMS, MEGABYTE, SINGLE_FRAME
from common.dicom.sources import PlainSource, open_source
from common.dicom.walk import Walk, find_values, walk_image
from storescp.store.refusal import MAX_COMMENT
from tests.support.ct_factory import ct_instance, encode
from tests.support.encoded import deflate, reader

PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
PATIENT_ID, SERIES_UID = 0x00100020, 0x0020000E
UNDEFINED = 0xFFFFFFFF
TINY = struct.pack("<HH2sH", 0x7FD1, 0x1010, b"LO", 0)
PRIVATE = 0x00191010


def walk(
    encoded: bytes, syntax: str = ExplicitVRLittleEndian, *, header_only: bool = False
) -> dict[int, bytes]:
    source = open_source(
        syntax, encoded[:1000], len(encoded), reader(encoded), max_bytes=1024 * MEGABYTE
    )
    return walk_image(source, syntax_of(syntax), {PATIENT_ID}, header_only=header_only)


def walk_header(encoded: bytes, syntax: str = ExplicitVRLittleEndian) -> Walk:
    source = PlainSource(encoded[:1000], len(encoded), reader(encoded))
    return subject.walk(source, syntax_of(syntax), {SOP_CLASS_UID}, header_only=True)


def refusal(encoded: bytes, syntax: str = ExplicitVRLittleEndian) -> str:
    with pytest.raises(LimitExceeded) as error:
        walk(encoded, syntax)
    assert len(str(error.value)) <= MAX_COMMENT
    return str(error.value)


def insert(ds: Dataset, element: bytes) -> bytes:
    """Return a data set with an encoded element before the pixel data."""
    encoded = encode(ds)
    at = encoded.rindex(struct.pack("<HH", 0x7FE0, 0x0010), 0, -len(ds.PixelData))
    return encoded[:at] + element + encoded[at:]


def sequence(content: bytes, *, vr: bytes = b"SQ", defined: bool = True) -> bytes:
    length = len(content) if defined else UNDEFINED
    end = b"" if defined else struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return struct.pack("<HH2sHL", 0x0019, 0x1010, vr, 0, length) + content + end


def item(content: bytes, *, defined: bool = True) -> bytes:
    length = len(content) if defined else UNDEFINED
    end = b"" if defined else struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    return struct.pack("<HHL", 0xFFFE, 0xE000, length) + content + end


def enhanced(frames: int, elements: int) -> Dataset:
    ds = ct_instance(SOPClassUID=EnhancedCTImageStorage, NumberOfFrames=frames)
    frame = Dataset()
    for number in range(elements):
        frame.add_new(PRIVATE + number, "SH", "1")
    ds.PerFrameFunctionalGroupsSequence = [frame] * frames
    return ds


@pytest.mark.parametrize("syntax", PLAIN)
def test_wanted_values_are_returned_as_encoded(syntax: str) -> None:
    ds = ct_instance(PatientID="AB12", PatientComments="x" * 3000)
    del ds.PatientName

    assert walk(encode(ds, syntax), syntax)[PATIENT_ID] == b"AB12"


def test_header_only_stops_at_the_pixel_data() -> None:
    encoded = encode(ct_instance(PatientID="AB12", size=128))

    assert walk(encoded[:-100], header_only=True)[PATIENT_ID] == b"AB12"
    with pytest.raises(Undecodable):
        walk(encoded[:-100])


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


def test_a_damaged_sequence_of_known_length_can_be_skipped() -> None:
    damaged = sequence(item(b"no element" * 100))

    assert PATIENT_ID in walk(insert(ct_instance(), damaged))


def test_a_damaged_sequence_cannot_hide_elements() -> None:
    hidden = sequence(item(b"no" + TINY * 30_000))

    assert "elements" in refusal(insert(ct_instance(), hidden))


def test_an_unknown_vr_is_refused() -> None:
    element = struct.pack("<HH2sHL", 0x0019, 0x1010, b"XX", 0, 8) + TINY

    with pytest.raises(Undecodable, match="no value representation"):
        walk(insert(ct_instance(), element))


def test_explicit_vr_that_is_said_to_be_implicit_is_refused() -> None:
    ds = ct_instance()
    ds.add_new(PRIVATE, "OB", bytes(4 * MEGABYTE))  # a length that "UI" may be taken for

    with pytest.raises(Undecodable, match="not in Implicit VR"):
        walk(encode(ds), ImplicitVRLittleEndian)


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


def test_a_deflated_value_that_is_cut_off_is_noticed() -> None:
    encoded = encode(ct_instance())

    with pytest.raises(Undecodable, match="ends within"):
        walk(deflate(encoded[:-10]), DeflatedExplicitVRLittleEndian)
    walk(deflate(encoded) + b"\0", DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize("syntax", PLAIN)
@pytest.mark.parametrize("size", [2, 128])
def test_the_end_of_a_header_is_the_pixel_data_element(syntax: str, size: int) -> None:
    ds = ct_instance(size=size)
    encoded = encode(ds, syntax)
    value = 8 if syntax == ImplicitVRLittleEndian else 12

    walked = walk_header(encoded, syntax)

    assert walked.end == len(encoded) - len(ds.PixelData) - value
    assert walked.elements == len(ds)
    assert walked.frames == 0


@pytest.mark.parametrize("count", [3, 100])
@pytest.mark.parametrize("syntax", PLAIN)
def test_items_that_describe_a_frame_are_counted(syntax: str, count: int) -> None:
    assert walk_header(encode(enhanced(count, 1), syntax), syntax).frames == count


@pytest.mark.parametrize("syntax", PLAIN)
@pytest.mark.parametrize("defined", [True, False])
def test_the_pixel_data_of_an_icon_do_not_end_a_header(syntax: str, defined: bool) -> None:
    ds = ct_instance(PatientID="AB12")
    icon = Dataset()
    icon.Rows = icon.Columns = 200
    icon.BitsAllocated = 8
    icon.add_new(PIXEL_DATA, "OB", bytes(200 * 200))
    ds.IconImageSequence = [icon]
    ds["IconImageSequence"].is_undefined_length = not defined
    icon.is_undefined_length_sequence_item = not defined
    encoded = encode(ds, syntax)

    assert encoded[walk_header(encoded, syntax).end :].endswith(ds.PixelData)


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


@pytest.mark.parametrize(
    "before",
    [TINY * 30_000, sequence(item(b"") * 15_000), sequence(item(TINY) * 12_000, defined=False)],
)
def test_a_uid_is_found_behind_what_is_refused(before: bytes) -> None:
    ds = ct_instance()
    encoded = before + encode(ds)
    source = PlainSource(encoded[:1000], len(encoded), reader(encoded))

    assert refusal(encoded)
    found = find_values(source, EXPLICIT, {SERIES_UID})
    assert found[SERIES_UID].rstrip(b"\0").decode() == ds.SeriesInstanceUID


def test_nothing_is_read_behind_a_uid_that_is_found() -> None:
    encoded = encode(ct_instance())

    def fail(position: int, length: int) -> bytes:
        raise AssertionError((position, length))

    assert SERIES_UID in find_values(PlainSource(encoded, 10**9, fail), EXPLICIT, {SERIES_UID})
