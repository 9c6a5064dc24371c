"""Covered: encodings that differ from their label, group 0002, padding, nested items.
Not covered: limits (test_limits), detection (common/dicom/test_encoding)."""

import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.compressed import jpeg_2000, set_frames
from tests.support.ct_volume import load_series, write_ct
from tests.support.encoded_file import data_set, insert, relabel
from worker.pipeline import load
from worker.pipeline.decoding.header import read_header

NATIVE = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
HU = np.random.default_rng(2).integers(-900, 1000, (10, 32, 40)).astype(np.int16)


@pytest.mark.parametrize("is_", NATIVE, ids=lambda uid: f"is-{uid.keyword}")
@pytest.mark.parametrize(
    "label",
    [*NATIVE, JPEG2000Lossless, JPEGLSLossless, RLELossless, "1.2.3", None],
    ids=lambda uid: f"says-{getattr(uid, 'keyword', uid)}",
)
def test_a_data_set_is_read_as_what_its_bytes_are(
    tmp_path: Path, is_: str, label: str | None
) -> None:
    paths = write_ct(tmp_path, HU)
    for path in paths:
        relabel(path, label, data_set(path, is_))

    found = load.find_series(tmp_path)

    assert [len(files) for files in found.values()] == [10]
    np.testing.assert_array_equal(load_series(paths)[1].hu, HU)


@pytest.mark.parametrize("label", [ExplicitVRLittleEndian, JPEGLSLossless, RLELossless])
def test_a_compressed_frame_is_decoded_as_what_it_is(tmp_path: Path, label: str) -> None:
    def change(index: int, ds: Dataset) -> None:
        set_frames(ds, JPEG2000Lossless, [jpeg_2000(HU[index] + 1024)])

    paths = write_ct(tmp_path, HU, change=change)
    for path in paths:
        path.write_bytes(
            path.read_bytes().replace(
                b"1.2.840.10008.1.2.4.90", label.encode().ljust(22, b"\0")
            )
        )

    np.testing.assert_array_equal(load_series(paths)[1].hu, HU)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_data_set_trailing_padding_is_ignored(tmp_path: Path, syntax: str) -> None:
    """PS3.10 7.2."""
    vr = b"OB\0\0" if syntax == ExplicitVRLittleEndian else b""
    paths = write_ct(tmp_path, HU)
    for path in paths:
        padding = struct.pack("<HH", 0xFFFC, 0xFFFC) + vr + struct.pack("<I", 8) + bytes(8)
        relabel(path, ExplicitVRLittleEndian, data_set(path, syntax) + padding)

    np.testing.assert_array_equal(load_series(paths)[1].hu, HU)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("group_length", [True, False])
def test_group_0002_in_a_data_set_is_ignored(
    tmp_path: Path, syntax: str, group_length: bool
) -> None:
    vr = b"UI" if syntax == ExplicitVRLittleEndian else b""
    value = b"1.2.840.10008.1.2.4.80"
    size = struct.pack("<H" if vr else "<I", len(value))
    inside = struct.pack("<HH", 0x0002, 0x0010) + vr + size + value
    if group_length:
        size = struct.pack("<H" if vr else "<I", 4)
        vr = b"UL" if vr else b""
        inside = struct.pack("<HH", 2, 0) + vr + size + struct.pack("<I", 30) + inside
    paths = write_ct(tmp_path, HU)
    for path in paths:
        relabel(path, ExplicitVRLittleEndian, inside + data_set(path, syntax))

    series, volume = load_series(paths)

    np.testing.assert_array_equal(volume.hu, HU)
    assert not any(tag.group == 2 for tag in series.headers[0].keys())  # noqa: SIM118


@pytest.mark.parametrize("length", [0, 10, 60, 4096])
def test_a_wrong_group_length_does_no_harm(tmp_path: Path, length: int) -> None:
    paths = write_ct(tmp_path, HU)
    for path in paths:
        content = bytearray(path.read_bytes())
        content[140:144] = struct.pack("<I", length)
        path.write_bytes(content)

    np.testing.assert_array_equal(load_series(paths)[1].hu, HU)


def test_sequences_of_any_length_and_encoding_are_walked_over(tmp_path: Path) -> None:
    """A device writes implicit items in explicit sequences; pydicom reads them too."""
    item = struct.pack("<HHI", 0x0008, 0x1150, 4) + b"1.2\0"
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    sequence += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + item
    sequence += struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    insert(write_ct(tmp_path, HU[:1])[0], sequence)

    header = read_header(tmp_path / "000.dcm")

    assert header.dataset.ReferencedImageSequence[0].ReferencedSOPClassUID == "1.2"
    assert header.dataset.Rows == 32
