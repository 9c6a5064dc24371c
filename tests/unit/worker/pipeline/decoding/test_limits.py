"""Covered: limits of headers, of inflated data, and of the volume.
Not covered: limits of intake (storescp), limits of codestreams (test_frames)."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from common.dicom.limits import MAX_DEPTH, MAX_ITEMS, MAX_STRING_BYTES, SINGLE_FRAME
from tests.support.ct_volume import AXIAL, load_series, write_ct
from tests.support.encoded_file import PIXEL_DATA, data_set, insert, relabel
from worker.pipeline import limits, load, series_headers, volume_layout
from worker.pipeline.decoding.header import inflate_file
from worker.pipeline.results import Rejected

HU = np.random.default_rng(2).integers(-900, 1000, (10, 32, 40)).astype(np.int16)


def refused(folder: Path, elements: bytes) -> str:
    paths = write_ct(folder, np.zeros((10, 8, 6), np.int16))
    for path in paths:
        insert(path, elements)
    assert sum(map(len, load.find_series(folder).values())) == 10
    rejected = load.read_series(paths)
    assert isinstance(rejected, Rejected), "was read"
    assert rejected.reason.code == "UNDECODABLE"
    assert rejected.series_instance_uid == dcmread(paths[0]).SeriesInstanceUID
    return rejected.reason.text


def element(number: int, vr: bytes = b"LO", value: bytes = b"") -> bytes:
    tag = 0x00290000 + 0x1000 + number
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def test_elements_are_limited(tmp_path: Path) -> None:
    text = refused(tmp_path, b"".join(map(element, range(SINGLE_FRAME.elements))))

    assert text == "A file exceeds a limit: data set has over 20000 elements."


@pytest.mark.parametrize("undefined", [True, False])
def test_items_are_limited(tmp_path: Path, undefined: bool) -> None:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * (MAX_ITEMS + 1)
    length = 0xFFFFFFFF if undefined else len(items)
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, length) + items
    sequence += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if undefined else b""

    assert "sequence has over 10000 items" in refused(tmp_path, sequence)


def test_items_after_a_damaged_one_are_limited_too(tmp_path: Path) -> None:
    damaged = struct.pack("<HHI", 0xFFFE, 0xE000, 16) + element(0) + b"\x08\0\x50\x11ZZ\0\0"
    items = damaged + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 2 * SINGLE_FRAME.elements
    sequence = struct.pack("<HH2sHI", 0x5200, 0x9230, b"SQ", 0, len(items)) + items

    assert "sequence has over 10000 items" in refused(tmp_path, sequence)


def test_depth_is_limited(tmp_path: Path) -> None:
    sequence = b""
    for _ in range(2 * MAX_DEPTH):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(sequence)) + sequence
        sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, len(item)) + item

    assert "nested over 32 deep" in refused(tmp_path, sequence)


def test_frames_are_limited_before_they_are_described(tmp_path: Path) -> None:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * (limits.MAX_SLICES + 1)
    groups = struct.pack("<HH2sHI", 0x5200, 0x9230, b"SQ", 0, len(items)) + items

    text = refused(tmp_path, groups)

    assert text == "The series has 4097 slices or more, 4096 are read."


@pytest.mark.parametrize("vr", [b"UT", b"UN", b"OB"])
def test_long_names_are_refused_whatever_their_vr(tmp_path: Path, vr: bytes) -> None:
    size = MAX_STRING_BYTES + 2
    name = struct.pack("<HH2sHI", 0x0010, 0x0010, vr, 0, size) + b"A" * size

    text = refused(tmp_path, name)

    assert text == "A file exceeds a limit: (0010,0010) is over 16384 bytes."


def test_headers_are_limited(tmp_path: Path) -> None:
    size = SINGLE_FRAME.header_bytes
    value = struct.pack("<HH2sHI", 0x0029, 0x1010, b"OB", 0, size) + bytes(size)

    assert refused(tmp_path, value) == "A file exceeds a limit: header is over 8 MB."


def test_a_large_private_value_is_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_headers, "MAX_SERIES_HEADER_BYTES", 2**18)
    paths = write_ct(tmp_path, HU)
    for path in paths:
        insert(path, struct.pack("<HH2sHI", 0x0029, 0x1010, b"OB", 0, 2**18) + bytes(2**18))

    np.testing.assert_array_equal(load_series(paths)[1].hu, HU)


def test_a_bomb_is_inflated_to_the_limit_only(tmp_path: Path) -> None:
    path = write_ct(tmp_path, HU)[0]
    content = data_set(path, ExplicitVRLittleEndian)
    start = content.index(PIXEL_DATA)
    size = 2**28
    stream = zlib.compressobj(9, wbits=-15)
    parts = [stream.compress(content[:start])]
    parts.append(stream.compress(struct.pack("<HH2sHI", 0x0029, 0x1010, b"OB", 0, size)))
    parts += [stream.compress(bytes(2**20)) for _ in range(size >> 20)]
    parts.append(stream.compress(content[start:]) + stream.flush())
    relabel(path, DeflatedExplicitVRLittleEndian, b"".join(parts))

    assert len(inflate_file(path, 1000)) == 1000
    rejected = load.read_series([path])
    assert isinstance(rejected, Rejected)
    assert rejected.reason.text == "A file exceeds a limit: header is over 8 MB."


def test_slices_of_all_files_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_headers, "MAX_SLICES", 9)

    rejected = load.read_series(write_ct(tmp_path, HU))

    assert isinstance(rejected, Rejected)
    assert rejected.reason.text == "The series has 10 slices or more, 9 are read."


def test_the_volume_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_layout, "MAX_KEPT_VOXELS", 12799)

    rejected = load.read_volume(load_series(write_ct(tmp_path, HU[:, :31]))[0])
    assert not isinstance(rejected, Rejected)
    rejected = load.read_volume(load.read_series(write_ct(tmp_path / "b", HU)))  # type: ignore[arg-type]

    assert isinstance(rejected, Rejected)
    assert "has 12800 voxels, at most 12799" in rejected.reason.text


def test_the_reformatted_volume_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distances of 3 mm between slices are filled up with rows of 0.05 mm."""
    monkeypatch.setattr(volume_layout, "MAX_REFORMATTED_VOXELS", 20_000)
    paths = write_ct(tmp_path, HU, directions=AXIAL, step=(0, 0, 3), spacing=(0.8, 0.05))

    rejected = load.read_volume(load.read_series(paths))  # type: ignore[arg-type]

    assert isinstance(rejected, Rejected)
    assert rejected.reason.text == (
        "The volume and the one that is reformatted from it have 220400 voxels, at most 20000 "
        "are kept in memory."
    )


def test_images_smaller_than_a_plane_are_a_reason(tmp_path: Path) -> None:
    paths = write_ct(tmp_path, HU, directions=AXIAL, step=(0, 0, 3), spacing=(0.05, 0.05))

    rejected = load.read_volume(load.read_series(paths))  # type: ignore[arg-type]

    assert isinstance(rejected, Rejected)
    assert "smaller than the distance of coronal planes" in rejected.reason.text


@pytest.mark.parametrize("elements", [{"RescaleSlope": 1e20}, {"RescaleIntercept": -1e38}])
def test_a_rescale_beyond_float_is_a_reason(tmp_path: Path, elements: dict[str, float]) -> None:
    rejected = load.read_volume(load.read_series(write_ct(tmp_path, HU, **elements)))  # type: ignore[arg-type]

    assert isinstance(rejected, Rejected)
    assert "at most 1000000 are read" in rejected.reason.text


def test_a_deflated_object_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.pipeline.pixels.MAX_INFLATED_BYTES", 3000)
    paths = write_ct(tmp_path, HU)
    for path in paths:
        content = data_set(path, DeflatedExplicitVRLittleEndian)
        relabel(path, DeflatedExplicitVRLittleEndian, content)

    rejected = load.read_volume(load.read_series(paths))  # type: ignore[arg-type]

    assert isinstance(rejected, Rejected)
    assert "at most 3000 are read" in rejected.reason.text
