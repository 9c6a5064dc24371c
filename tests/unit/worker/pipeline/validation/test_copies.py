"""Covered: files of one SOP Instance UID that are equal copies or different images."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from tests.support import enhanced_ct
from tests.support.ct_volume import write_ct
from tests.support.enhanced_ct import images_of, noise
from worker.pipeline import load
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Rejected
from worker.pipeline.volume import Series


def deflate(ds: Dataset) -> None:
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def with_copy(folder: Path, change: Callable[[Dataset], None]) -> list[Path]:
    """Write 12 slices and a changed copy of the fourth."""
    paths = write_ct(folder, noise(12), PatientBirthDate="19500101", IssuerOfPatientID="A")
    ds = dcmread(paths[3])
    change(ds)
    ds.save_as(folder / "copy.dcm", enforce_file_format=True)
    return [*paths, folder / "copy.dcm"]


def compress(uid: str) -> Callable[[Dataset], None]:
    return lambda ds: ds.compress(uid, generate_instance_uid=False)


def private(ds: Dataset) -> None:
    ds.private_block(0x0099, "SITE", create=True).add_new(1, "LO", "forwarded")
    ds.file_meta.SourceApplicationEntityTitle = "OTHER"


def other_rescale(ds: Dataset) -> None:
    ds.PixelData = (ds.pixel_array - 1024).astype("<i2").tobytes()
    ds.RescaleIntercept = 0


def without_issuer(ds: Dataset) -> None:
    del ds.IssuerOfPatientID


def other_pixel(ds: Dataset) -> None:
    pixels = ds.pixel_array.copy()
    pixels[5, 5] += 1
    ds.PixelData = pixels.tobytes()


def truncated(ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[:20]


def other(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda ds: setattr(ds, keyword, value)


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: None, compress(RLELossless), compress(JPEGLSLossless), deflate, private,
        other_rescale, without_issuer,
    ],
)  # fmt: skip
def test_equal_copies_count_once(tmp_path: Path, change: Callable[[Dataset], None]) -> None:
    series = load.read_series(with_copy(tmp_path, change))

    assert isinstance(series, Series)
    assert len(series.headers) == 12
    assert series.checks[-1].text == "12 SOP Instance UIDs, 1 equal copies left out."


@pytest.mark.parametrize(
    "change",
    [
        other_pixel, truncated, other("ImagePositionPatient", [0, 500, 0]),
        other("PixelSpacing", [0.9, 0.8]), other("RescaleSlope", 2), other("Rows", 16),
        other("FrameOfReferenceUID", "1.2"), other("PatientID", "P2"),
        other("PatientBirthDate", "19510101"),
    ],
)  # fmt: skip
def test_different_images_of_one_uid_are_mixed(
    tmp_path: Path, change: Callable[[Dataset], None]
) -> None:
    paths = with_copy(tmp_path, change)

    rejected = load.read_series(paths)

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.MIXED
    uid = dcmread(paths[3]).SOPInstanceUID
    assert rejected.reason.text == (
        f"2 images that differ have the SOP Instance UID {uid}: each image needs its own."
    )


def test_series_of_one_uid_is_not_one_slice(tmp_path: Path) -> None:
    rejected = load.read_series(write_ct(tmp_path, noise(12), SOPInstanceUID="1.2.3"))

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.MIXED
    assert rejected.reason.text.startswith("12 images that differ have the SOP Instance UID")


def test_series_with_every_uid_twice_says_how_many(tmp_path: Path) -> None:
    paths = write_ct(
        tmp_path, noise(12), change=lambda i, ds: setattr(ds, "SOPInstanceUID", f"1.2.{i // 2}")
    )

    rejected = load.read_series(paths)

    assert isinstance(rejected, Rejected)
    assert "1.2.0 (5 other UIDs likewise)" in rejected.reason.text


def test_unusable_uids_are_not_compared(tmp_path: Path) -> None:
    paths = write_ct(tmp_path, noise(12), SOPInstanceUID="1.2.34567")
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"1.2.34567", b"Doe^Jane1"))

    rejected = load.read_series(paths)

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.UNDECODABLE
    assert rejected.reason.text.startswith("12 of 12 images")


@pytest.mark.parametrize("pixels_differ", [True, False])
def test_copies_of_a_multi_frame_image_are_compared(
    tmp_path: Path, pixels_differ: bool
) -> None:
    images = images_of(tmp_path / "single", noise())
    (path,) = enhanced_ct.write_enhanced(images, tmp_path / "1")
    ds = dcmread(path)
    ds.InstitutionName = "Other"
    deflate(ds)
    if pixels_differ:
        ds.PixelData = ds.PixelData[:-2] + b"\1\1"
    ds.save_as(tmp_path / "copy.dcm")

    series = load.read_series([path, tmp_path / "copy.dcm"])

    assert isinstance(series, Rejected) == pixels_differ
