"""File Meta Information as read by pydicom, and comparison of stored data sets."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from common.dicom.errors import NotPart10
from common.spool.part10 import (
    IMPLEMENTATION_CLASS_UID,
    encode_header,
    holds_same,
    read_header,
)
from tests.support.ct_factory import ct_instance, encode


def file_of(encoded: bytes, folder: Path, *, calling: str = "CT_01") -> Path:
    path = folder / "one.dcm"
    header = encode_header(CTImageStorage, "1.2.3", ExplicitVRLittleEndian, calling)
    path.write_bytes(header + encoded)
    return path


@pytest.mark.parametrize("calling", ["A", "AB", "SIXTEEN_CHARS_AE"])
def test_pydicom_reads_the_header(calling: str) -> None:
    ds = ct_instance(SOPInstanceUID="1.2.3")
    header = encode_header(CTImageStorage, "1.2.3", ExplicitVRLittleEndian, calling)

    read = dcmread(BytesIO(header + encode(ds)))

    assert read.file_meta.MediaStorageSOPClassUID == CTImageStorage
    assert read.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.SourceApplicationEntityTitle == calling
    assert read.file_meta.FileMetaInformationGroupLength == len(header) - 144
    assert read.PixelData == ds.PixelData


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = file_of(b"data", tmp_path)

    meta = read_header(path)

    assert (meta.sop_class_uid, meta.sop_instance_uid) == (CTImageStorage, "1.2.3")
    assert (meta.transfer_syntax_uid, meta.calling_ae_title) == (
        ExplicitVRLittleEndian,
        "CT_01",
    )
    assert path.read_bytes()[meta.data_set_offset :] == b"data"


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("10.1.2.3", "dicom://10.1.2.3"),
        ("10.1.2.30", "dicom://10.1.2.30"),
        ("2001:db8::1", "dicom://[2001:db8::1]"),
    ],
)
def test_the_address_of_the_sender_is_written_and_read(
    address: str, uri: str, tmp_path: Path
) -> None:
    path = tmp_path / "one.dcm"
    header = encode_header(CTImageStorage, "1.2.3", ExplicitVRLittleEndian, "CT_01", address)
    path.write_bytes(header + encode(ct_instance(SOPInstanceUID="1.2.3")))

    meta = dcmread(path).file_meta

    assert meta.SourcePresentationAddress == uri
    assert meta.FileMetaInformationGroupLength == len(header) - 144
    assert read_header(path).source_address == address


@pytest.mark.parametrize(
    "content", [b"", b"DICM", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 64]
)
def test_other_files_are_rejected(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.dcm"
    path.write_bytes(content)

    with pytest.raises(NotPart10):
        read_header(path)
    assert not holds_same(path, b"data", ExplicitVRLittleEndian)


def test_the_same_data_set_from_another_sender_is_the_same(tmp_path: Path) -> None:
    path = file_of(b"data" * 500_000, tmp_path, calling="OTHER")

    assert holds_same(path, b"data" * 500_000, ExplicitVRLittleEndian)


@pytest.mark.parametrize("encoded", [b"dat", b"data ", b"daTa", b""])
def test_other_bytes_are_not_the_same(encoded: bytes, tmp_path: Path) -> None:
    assert not holds_same(file_of(b"data", tmp_path), encoded, ExplicitVRLittleEndian)


def test_another_transfer_syntax_is_not_the_same(tmp_path: Path) -> None:
    assert not holds_same(file_of(b"data", tmp_path), b"data", ImplicitVRLittleEndian)


def test_a_file_that_is_not_there_is_not_the_same(tmp_path: Path) -> None:
    assert not holds_same(tmp_path / "none.dcm", b"data", ExplicitVRLittleEndian)
