"""Covered: pixels of multi-frame objects in every transfer syntax and with any offset table,
rescale of each frame. Not covered: headers of frames (test_frames)."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.support import enhanced_ct
from tests.support.ct_volume import load_volume, read_series
from tests.support.enhanced_ct import images_of, noise, shuffled
from worker.pipeline import load
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Rejected


def test_rescale_of_each_frame_is_used(tmp_path: Path) -> None:
    stored = noise()
    images = images_of(tmp_path / "single", stored)
    for index, ds in enumerate(images):
        ds.RescaleSlope, ds.RescaleIntercept = 1 + index / 4, -1000 + index

    volume = load_volume(enhanced_ct.write_enhanced(shuffled(images), tmp_path / "multi"))

    slope, intercept = 1 + np.arange(14) / 4, np.arange(14) - 1000.0
    expected = np.rint((stored + 1024.0) * slope[:, None, None] + intercept[:, None, None])
    np.testing.assert_array_equal(volume.hu, expected)


@pytest.mark.parametrize(
    "syntax",
    [
        JPEG2000Lossless,
        JPEGLSLossless,
        RLELossless,
        DeflatedExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
    ],
    ids=lambda syntax: str(syntax.keyword),
)
def test_every_transfer_syntax_gives_the_same_hu(tmp_path: Path, syntax: str) -> None:
    hu = noise(12, 64, 64)
    hu[:, :2] = -1010  # stored 14: padding, whose VR an implicit data set does not state
    images = images_of(tmp_path / "single", hu, PixelPaddingValue=14)
    multi = dcmread(enhanced_ct.write_enhanced(images, tmp_path)[0])
    path = tmp_path / "syntax.dcm"
    if syntax.is_encapsulated:  # type: ignore[attr-defined]
        multi.compress(syntax, generate_instance_uid=False)
        multi.save_as(path)
    else:
        write_as(multi, path, syntax)

    volume = load_volume([path])

    hu[:, :2] = -1024
    np.testing.assert_array_equal(volume.hu, hu)


@pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="dcmcjpeg is not installed")
@pytest.mark.parametrize("option", ["+e1", "+el"], ids=["first-order", "any-order"])
def test_jpeg_lossless_gives_the_same_hu(tmp_path: Path, option: str) -> None:
    hu = noise(12, 64, 64)
    images = images_of(tmp_path / "single", hu)
    plain = enhanced_ct.write_enhanced(images, tmp_path)[0]
    compressed = tmp_path / "compressed.dcm"
    subprocess.run(["dcmcjpeg", option, plain, compressed], check=True)

    np.testing.assert_array_equal(load_volume([compressed]).hu, hu)


def write_as(ds: Dataset, path: Path, syntax: str) -> None:
    """Write an uncompressed object in another native transfer syntax."""
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    ds.file_meta.TransferSyntaxUID = syntax
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dcmwrite(path, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=True)


@pytest.mark.parametrize("offsets", ["none", "basic", "extended"])
def test_compressed_frames_are_found_with_any_offset_table(
    tmp_path: Path, offsets: str
) -> None:
    hu = noise(12, 64, 64)
    images = images_of(tmp_path / "single", hu)
    path = enhanced_ct.write_enhanced(images, tmp_path, compress=RLELossless)[0]
    ds = dcmread(path)
    encoded = list(generate_frames(ds.PixelData, number_of_frames=12))
    if offsets == "extended":
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = (
            encapsulate_extended(encoded)
        )
    else:
        ds.PixelData = encapsulate(encoded, has_bot=offsets == "basic")
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)

    np.testing.assert_array_equal(load_volume([path]).hu, hu)


def test_rescale_that_no_frame_has_is_a_reason(tmp_path: Path) -> None:
    def remove(ds: Dataset) -> None:
        for groups in ds.PerFrameFunctionalGroupsSequence:
            del groups.PixelValueTransformationSequence

    images = images_of(tmp_path / "single", noise())
    paths = enhanced_ct.write_enhanced(images, tmp_path, change=remove)
    rejected = load.read_volume(read_series(paths))

    assert isinstance(rejected, Rejected)
    assert "rescale" in rejected.reason.text


def test_truncated_pixels_of_the_last_frames_are_a_reason(tmp_path: Path) -> None:
    def truncate(ds: Dataset) -> None:
        ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]

    images = images_of(tmp_path / "single", noise())
    paths = enhanced_ct.write_enhanced(images, tmp_path, change=truncate)

    rejected = load.read_volume(read_series(paths))

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.UNDECODABLE
