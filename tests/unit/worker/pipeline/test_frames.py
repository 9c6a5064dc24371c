"""Covered: Enhanced, Legacy Converted and concatenated CT give the same HU, affine and header
values as single-frame images; missing parts give a reason.
Not covered: the report's references to frames (report/test_regions)."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from tests.support import enhanced_ct
from tests.support.ct_volume import AXIAL, CORONAL, load_volume, read_series, write_ct
from tests.support.enhanced_ct import images_of, noise, shuffled
from worker.pipeline import frames, header_values, load
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Rejected
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import first_failure
from worker.pipeline.volume import Volume

Write = Callable[[list[Dataset], Path], list[Path]]
WRITERS: dict[str, Write] = {
    "enhanced": enhanced_ct.write_enhanced,
    "legacy": enhanced_ct.write_legacy_converted,
    "parts": lambda images, folder: enhanced_ct.write_enhanced(images, folder, parts=3),
}


def assert_same(one: Volume, other: Volume) -> None:
    np.testing.assert_array_equal(one.hu, other.hu)
    np.testing.assert_array_equal(one.affine, other.affine)


@pytest.mark.parametrize("directions", [CORONAL, AXIAL], ids=["coronal", "axial"])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_multi_frame_gives_the_same_volume_as_its_single_frame_images(
    tmp_path: Path, write: Write, directions: object
) -> None:
    images = images_of(tmp_path / "single", noise(), directions=directions)

    volume = load_volume(write(shuffled(images), tmp_path / "multi"))

    assert_same(volume, load_volume(sorted((tmp_path / "single").iterdir())))


def test_slices_are_named_by_instance_and_frame(tmp_path: Path) -> None:
    images = shuffled(images_of(tmp_path / "single", noise()))
    paths = enhanced_ct.write_enhanced(images, tmp_path, parts=2)
    instances = [dcmread(path).SOPInstanceUID for path in paths]

    volume = load_volume(paths)

    depths = [float(ds.ImagePositionPatient[1]) for ds in images]
    expected = [
        (instances[index // 7], index % 7 + 1) for index in np.argsort(depths)
    ]  # coronal: front to back
    assert list(zip(volume.source_sop_uids, volume.source_frames, strict=True)) == expected


def test_single_frame_images_have_no_frame_number(tmp_path: Path) -> None:
    volume = load_volume(write_ct(tmp_path, noise()))

    assert volume.source_frames == (None,) * 14


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_headers_of_frames_have_the_keywords_of_a_ct_image(
    tmp_path: Path, write: Write
) -> None:
    images = images_of(tmp_path / "single", noise())

    headers = read_series(write(images, tmp_path / "multi")).headers

    assert len(headers) == 14
    for header, image in zip(headers, images, strict=True):
        for keyword in (
            "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
            "RescaleSlope", "RescaleIntercept", "KVP", "PatientID", "StudyInstanceUID", "Rows",
        ):  # fmt: skip
            assert header[keyword].value == image[keyword].value, keyword
        assert header_values.text_of(header, "ConvolutionKernel") == "B30f"
        assert header_values.text_of(header, "ContrastBolusAgent") == "Iodinated contrast agent"
    assert (
        first_failure(
            eligibility.check_series(read_series(sorted((tmp_path / "multi").iterdir())))
        )
        is None
    )


def test_frame_that_is_not_described_is_a_reason(tmp_path: Path) -> None:
    def remove_one(ds: Dataset) -> None:
        del ds.PerFrameFunctionalGroupsSequence[5]

    images = images_of(tmp_path / "single", noise())
    rejected = load.read_series(enhanced_ct.write_enhanced(images, tmp_path, change=remove_one))

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

    reason = first_failure(eligibility.check_series(read_series(paths)))

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


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
@pytest.mark.parametrize("parts", [1, 3])
def test_the_enhanced_objects_of_these_tests_are_correct(tmp_path: Path, parts: int) -> None:
    images = images_of(tmp_path / "single", noise())
    for path in enhanced_ct.write_enhanced(images, tmp_path, parts=parts):
        found = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        assert "Error" not in found.stderr, found.stderr
