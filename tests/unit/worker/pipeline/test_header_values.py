"""Covered: values of encoded elements are those of pydicom, whatever was read before.
Not covered: geometry of slices (validation/test_images.py)."""

from io import BytesIO

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from worker.pipeline.header_values import (
    distinct,
    encoded_values,
    numbers_of,
    read_each,
    text_of,
    value_of,
)

ELEMENTS = {
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "PixelSpacing": [0.7, 0.7],
    "InstanceNumber": 7,
    "Rows": 512,
    "SOPInstanceUID": "1.2.3",
    "PatientBirthDate": "19500102",
    "PatientName": "Müller^Jörg",
    "PixelRepresentation": 1,
    "SmallestImagePixelValue": -5,
}


def read(implicit: bool = False, **elements: object) -> Dataset:
    """Return a data set as it is read from a file: its elements are not converted yet."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, implicit
    write_dataset(encoded, ds)
    return read_dataset(BytesIO(encoded.getvalue()), implicit, True)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("keyword", ELEMENTS)
def test_a_value_is_that_of_pydicom(keyword: str, implicit: bool) -> None:
    for _ in range(2):
        assert value_of(read(implicit, **ELEMENTS), keyword) == (
            getattr(read(implicit, **ELEMENTS), keyword)
        )


def test_images_with_equal_bytes_share_the_converted_value() -> None:
    first, second = (read(ImageType=["DERIVED", "SECONDARY"]) for _ in range(2))

    assert value_of(first, "ImageType") is value_of(second, "ImageType")


def test_equal_bytes_of_other_elements_are_other_values() -> None:
    ds = read(InstanceNumber=12, PatientAge="012Y", SliceThickness=12)

    assert [value_of(ds, one) for one in ("InstanceNumber", "SliceThickness")] == [12, 12.0]
    assert text_of(ds, "PatientAge") == "012Y"


def test_the_sign_of_a_pixel_value_is_that_of_its_image() -> None:
    unsigned = read(True, PixelRepresentation=0, SmallestImagePixelValue=65531)
    signed = read(True, PixelRepresentation=1, SmallestImagePixelValue=-5)

    assert value_of(unsigned, "SmallestImagePixelValue") == 65531
    assert value_of(signed, "SmallestImagePixelValue") == -5


def test_a_text_is_read_by_the_character_set_of_its_image() -> None:
    latin = read(PatientName="é")
    cyrillic = read(PatientName="щ", SpecificCharacterSet="ISO_IR 144")
    encoded = [ds.get_item("PatientName").value for ds in (latin, cyrillic)]

    assert encoded[0] == encoded[1]
    assert [str(value_of(ds, "PatientName")) for ds in (latin, cyrillic)] == ["é", "щ"]


def test_a_malformed_number_stays_none_when_it_is_read_again() -> None:
    ds = read(SliceThickness=3)
    raw = ds.get_item("SliceThickness")
    for _ in range(2):
        ds._dict[raw.tag] = raw._replace(value=b"three ", length=6)

        assert numbers_of(ds, "SliceThickness", 1) is None


def headers_of(*values: tuple[str, str]) -> list[Dataset]:
    """Return headers as they are read, with a PatientID and a date each."""
    return [read(PatientID=patient, StudyDate=date) for patient, date in values]


def test_equal_values_are_read_once_and_returned_for_each_image() -> None:
    headers = headers_of(("A", "20260402"), ("B", "20260402"), ("A", "20260403"))
    asked: list[Dataset] = []

    def patient_of(ds: Dataset) -> str:
        asked.append(ds)
        return text_of(ds, "PatientID")

    assert read_each(headers, ("PatientID",), patient_of) == ["A", "B", "A"]
    assert asked == headers[:2]


def test_a_decoded_or_absent_value_is_read_as_it_is() -> None:
    headers = [*headers_of(("A", "20260402"), ("A", "20260402")), Dataset()]
    assert headers[1].PatientID == "A"  # decodes it

    found = read_each(headers, ("PatientID",), lambda ds: text_of(ds, "PatientID"))

    assert found == ["A", "A", ""]


def test_distinct_headers_are_the_first_of_each_key() -> None:
    headers = headers_of(("A", "20260402"), ("A", "20260403"), ("B", "20260402"))

    found = distinct(headers, lambda ds: encoded_values(ds, ("PatientID",)))

    assert found == [headers[0], headers[2]]
