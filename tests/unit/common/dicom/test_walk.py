"""Covered: the walk over a data set: wanted values, the end of the header, frames, damaged
elements, look-up of a UID.

Partner: pydicom writes the data sets. Not covered: limits (test_walk_limits.py), truncated data
sets (storescp/store).
"""

import struct

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from common.dicom.elements import PIXEL_DATA
from common.dicom.encoding import EXPLICIT
from common.dicom.errors import Undecodable
from common.dicom.limits import MEGABYTE
from common.dicom.sources import PlainSource
from common.dicom.walk import find_values
from tests.support.ct_factory import ct_instance, encode
from tests.support.encoded import deflate, reader
from tests.support.walked import (
    PATIENT_ID,
    PLAIN,
    PRIVATE,
    SERIES_UID,
    TINY,
    enhanced,
    insert,
    item,
    refusal,
    sequence,
    walk,
    walk_header,
)


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


def test_a_damaged_sequence_of_known_length_can_be_skipped() -> None:
    damaged = sequence(item(b"no element" * 100))

    assert PATIENT_ID in walk(insert(ct_instance(), damaged))


def test_an_unknown_vr_is_refused() -> None:
    element = struct.pack("<HH2sHL", 0x0019, 0x1010, b"XX", 0, 8) + TINY

    with pytest.raises(Undecodable, match="no value representation"):
        walk(insert(ct_instance(), element))


def test_explicit_vr_that_is_said_to_be_implicit_is_refused() -> None:
    ds = ct_instance()
    ds.add_new(PRIVATE, "OB", bytes(4 * MEGABYTE))  # a length that "UI" may be taken for

    with pytest.raises(Undecodable, match="not in Implicit VR"):
        walk(encode(ds), ImplicitVRLittleEndian)


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
