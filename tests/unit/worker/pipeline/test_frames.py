"""Covered: Enhanced, Legacy Converted and concatenated CT give the same HU, affine and header
values as single-frame images; what is missing in them gets a reason.
Not covered: the report's references to frames (test_report_regions)."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
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

from tests import enhanced_ct
from tests.ct_volume import AXIAL, CORONAL, write_ct
from worker.pipeline import eligible, frames, geometry, load
from worker.pipeline.checks import reason_of
from worker.pipeline.results import ReasonCode, Rejected, Series, Volume

PATIENT = {
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "StudyDate": "20260102",
    "StudyTime": "101112",
    "StudyID": "1",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "",
    "SeriesNumber": 4,
    "Manufacturer": "Example",
    "InstanceNumber": 1,
    "SliceThickness": 3,
    "KVP": 100,
    "ConvolutionKernel": "B30f",
    "PatientPosition": "HFS",
    "PositionReferenceIndicator": "",
    "ContrastBolusAgent": "Iodinated contrast agent",
}
Write = Callable[[list[Dataset], Path], list[Path]]
WRITERS: dict[str, Write] = {
    "enhanced": enhanced_ct.write_enhanced,
    "legacy": enhanced_ct.write_legacy_converted,
    "parts": lambda images, folder: enhanced_ct.write_enhanced(images, folder, parts=3),
}


def noise(count: int = 14, rows: int = 32, columns: int = 28) -> npt.NDArray[np.int16]:
    return np.random.default_rng(5).integers(-900, 1500, (count, rows, columns), np.int16)


def images_of(folder: Path, hu: npt.NDArray[np.int16], **elements: object) -> list[Dataset]:
    images = enhanced_ct.read(write_ct(folder, hu, **elements))  # type: ignore[arg-type]
    for ds in images:
        for keyword, value in PATIENT.items():
            setattr(ds, keyword, value)
    return images


def shuffled(images: list[Dataset]) -> list[Dataset]:
    return [images[i] for i in np.random.default_rng(1).permutation(len(images))]


def series_of(paths: list[Path]) -> Series:
    series = load.read_series(paths)
    assert isinstance(series, Series), series
    return series


def volume_of(paths: list[Path]) -> Volume:
    volume = load.read_volume(series_of(paths))
    assert isinstance(volume, Volume), volume
    return volume


def assert_same(one: Volume, other: Volume) -> None:
    np.testing.assert_array_equal(one.hu, other.hu)
    np.testing.assert_array_equal(one.affine, other.affine)


@pytest.mark.parametrize("directions", [CORONAL, AXIAL], ids=["coronal", "axial"])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_multi_frame_gives_the_same_volume_as_its_single_frame_images(
    tmp_path: Path, write: Write, directions: object
) -> None:
    images = images_of(tmp_path / "single", noise(), directions=directions)

    volume = volume_of(write(shuffled(images), tmp_path / "multi"))

    assert_same(volume, volume_of(sorted((tmp_path / "single").iterdir())))


def test_slices_are_named_by_instance_and_frame(tmp_path: Path) -> None:
    images = shuffled(images_of(tmp_path / "single", noise()))
    paths = enhanced_ct.write_enhanced(images, tmp_path, parts=2)
    instances = [dcmread(path).SOPInstanceUID for path in paths]

    volume = volume_of(paths)

    depths = [float(ds.ImagePositionPatient[1]) for ds in images]
    expected = [
        (instances[index // 7], index % 7 + 1) for index in np.argsort(depths)
    ]  # coronal: front to back
    assert list(zip(volume.source_sop_uids, volume.source_frames, strict=True)) == expected


def test_single_frame_images_have_no_frame_number(tmp_path: Path) -> None:
    volume = volume_of(write_ct(tmp_path, noise()))

    assert volume.source_frames == (None,) * 14


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_headers_of_frames_have_the_keywords_of_a_ct_image(
    tmp_path: Path, write: Write
) -> None:
    images = images_of(tmp_path / "single", noise())

    headers = series_of(write(images, tmp_path / "multi")).headers

    assert len(headers) == 14
    for header, image in zip(headers, images, strict=True):
        for keyword in (
            "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
            "RescaleSlope", "RescaleIntercept", "KVP", "PatientID", "StudyInstanceUID", "Rows",
        ):  # fmt: skip
            assert header[keyword].value == image[keyword].value, keyword
        assert geometry.text_of(header, "ConvolutionKernel") == "B30f"
        assert geometry.text_of(header, "ContrastBolusAgent") == "Iodinated contrast agent"
    assert (
        reason_of(eligible.check_series(series_of(sorted((tmp_path / "multi").iterdir()))))
        is None
    )


def test_rescale_of_each_frame_is_used(tmp_path: Path) -> None:
    stored = noise()
    images = images_of(tmp_path / "single", stored)
    for index, ds in enumerate(images):
        ds.RescaleSlope, ds.RescaleIntercept = 1 + index / 4, -1000 + index

    volume = volume_of(enhanced_ct.write_enhanced(shuffled(images), tmp_path / "multi"))

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
    hu[:, :2] = -1010  # stored 14: padding, whose VR an implicit data set does not say
    images = images_of(tmp_path / "single", hu, PixelPaddingValue=14)
    multi = dcmread(enhanced_ct.write_enhanced(images, tmp_path)[0])
    path = tmp_path / "syntax.dcm"
    if syntax.is_encapsulated:  # type: ignore[attr-defined]
        multi.compress(syntax, generate_instance_uid=False)
        multi.save_as(path)
    else:
        write_as(multi, path, syntax)

    volume = volume_of([path])

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

    np.testing.assert_array_equal(volume_of([compressed]).hu, hu)


def write_as(ds: Dataset, path: Path, syntax: str) -> None:
    """Write an uncompressed object in another native syntax."""
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

    np.testing.assert_array_equal(volume_of([path]).hu, hu)


def test_frame_that_is_not_described_is_a_reason(tmp_path: Path) -> None:
    def forget(ds: Dataset) -> None:
        del ds.PerFrameFunctionalGroupsSequence[5]

    images = images_of(tmp_path / "single", noise())
    rejected = load.read_series(enhanced_ct.write_enhanced(images, tmp_path, change=forget))

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.UNDECODABLE
    assert "13 of 14 frames" in rejected.reason.text


@pytest.mark.parametrize(
    ("keyword", "code"),
    [
        ("PlanePositionSequence", ReasonCode.ORIENTATION),
        ("PlaneOrientationSequence", ReasonCode.ORIENTATION),
        ("PixelMeasuresSequence", ReasonCode.UNDECODABLE),
        ("PerFrameFunctionalGroupsSequence", ReasonCode.UNDECODABLE),
    ],
)
def test_missing_functional_group_is_a_reason(
    tmp_path: Path, keyword: str, code: ReasonCode
) -> None:
    def remove(ds: Dataset) -> None:
        for groups in (
            ds,
            ds.SharedFunctionalGroupsSequence[0],
            *ds.PerFrameFunctionalGroupsSequence,
        ):
            groups.pop(keyword, None)

    images = images_of(tmp_path / "single", noise())
    rejected = load.read_series(enhanced_ct.write_enhanced(images, tmp_path, change=remove))

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is code


def test_rescale_that_no_frame_has_is_a_reason(tmp_path: Path) -> None:
    def remove(ds: Dataset) -> None:
        for groups in ds.PerFrameFunctionalGroupsSequence:
            del groups.PixelValueTransformationSequence

    images = images_of(tmp_path / "single", noise())
    paths = enhanced_ct.write_enhanced(images, tmp_path, change=remove)
    rejected = load.read_volume(series_of(paths))

    assert isinstance(rejected, Rejected)
    assert "rescale" in rejected.reason.text


def test_missing_part_of_a_concatenation_is_a_reason(tmp_path: Path) -> None:
    images = images_of(tmp_path / "single", noise(30))
    paths = enhanced_ct.write_enhanced(images, tmp_path, parts=3)

    rejected = load.read_series(paths[:2])

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.GAPS
    assert "2 of 3 parts" in rejected.reason.text


def test_two_phases_in_one_object_are_not_interleaved(tmp_path: Path) -> None:
    arterial = images_of(tmp_path / "1", noise())
    portal = images_of(tmp_path / "2", noise())
    paths = enhanced_ct.write_enhanced(shuffled(arterial + portal), tmp_path)

    reason = reason_of(eligible.check_series(series_of(paths)))

    assert reason is not None
    assert reason.code is ReasonCode.MIXED


def test_localizer_among_the_frames_is_found(tmp_path: Path) -> None:
    def scout(ds: Dataset) -> None:
        frame_type = Dataset()
        frame_type.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
        del ds.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence
        ds.PerFrameFunctionalGroupsSequence[3].CTImageFrameTypeSequence = [frame_type]

    images = images_of(tmp_path / "single", noise())
    rejected = load.read_series(enhanced_ct.write_enhanced(images, tmp_path, change=scout))

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.LOCALIZER
    assert "1 of 14" in rejected.reason.text


def test_agent_that_was_not_given_is_not_named(tmp_path: Path) -> None:
    images = images_of(tmp_path / "single", noise())
    ds = enhanced_ct.enhanced(images)
    usage = ds.SharedFunctionalGroupsSequence[0].ContrastBolusUsageSequence[0]
    usage.ContrastBolusAgentAdministered = "NO"

    headers = frames.frame_headers(ds)

    assert "ContrastBolusAgent" not in headers[0]


def test_truncated_pixels_of_the_last_frames_are_a_reason(tmp_path: Path) -> None:
    def truncate(ds: Dataset) -> None:
        ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]

    images = images_of(tmp_path / "single", noise())
    paths = enhanced_ct.write_enhanced(images, tmp_path, change=truncate)

    rejected = load.read_volume(series_of(paths))

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.UNDECODABLE


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
@pytest.mark.parametrize("parts", [1, 3])
def test_the_enhanced_objects_of_these_tests_are_correct(tmp_path: Path, parts: int) -> None:
    images = images_of(tmp_path / "single", noise())
    for path in enhanced_ct.write_enhanced(images, tmp_path, parts=parts):
        found = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        assert "Error" not in found.stderr, found.stderr
