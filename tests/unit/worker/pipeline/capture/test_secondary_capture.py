"""Covered: header, UIDs and sources of the Secondary Captures. Not covered: their pictures
(test_overlay, test_result_picture), validators (integration/test_validators)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydicom import Dataset

from tests.support.factories import make_ct_headers, make_screening, with_hip
from tests.support.report_cases import AT, CLINICAL_MODEL, built, pictures_of
from tests.support.report_tree import named
from worker.pipeline.capture.secondary_capture import (
    build_captures,
    capture_png,
    overlay_of,
)
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.results import (
    Grade,
    Screening,
)

RIGHT, LEFT = 0, 1


def pixels(capture: Dataset) -> npt.NDArray[np.uint8]:
    flat = np.frombuffer(capture.PixelData, np.uint8)
    count = capture.Rows * capture.Columns * 3
    return flat[:count].reshape(capture.Rows, capture.Columns, 3)


def test_clock_changes_the_file_and_no_uid() -> None:
    screening = make_screening()
    first, second = (build_captures(screening, at=at) for at in (AT, AT + timedelta(days=1)))

    for now, later in zip(first, second, strict=True):
        assert to_bytes(now) != to_bytes(later)
        assert now.SOPInstanceUID == later.SOPInstanceUID
        assert now.SeriesInstanceUID == later.SeriesInstanceUID
        assert later.DateOfSecondaryCapture == "20261124"


@pytest.mark.parametrize(
    "changed",
    [
        lambda s: replace(s, model=CLINICAL_MODEL),
        lambda s: with_hip(s, RIGHT, grade=Grade.OSTEOPOROSIS),
        lambda s: with_hip(s, LEFT, heat_map=np.ones((250, 250), np.float32)),
        lambda s: replace(s, headers=make_ct_headers(PatientID="OS-0002")),
    ],
    ids=["model", "grade", "heat map", "patient"],
)
def test_changed_content_changes_the_uids(changed: Callable[[Screening], Screening]) -> None:
    screening = make_screening()
    old, new = (build_captures(s, at=AT) for s in (screening, changed(screening)))

    # Both objects get new UIDs, also one with the same content: an instance has one series.
    for before, after in zip(old, new, strict=True):
        assert after.SOPInstanceUID != before.SOPInstanceUID
        assert after.SeriesInstanceUID != before.SeriesInstanceUID


def test_both_pictures_are_instances_of_one_series() -> None:
    result, overlay = pictures_of("both hips")

    assert result.SeriesInstanceUID == overlay.SeriesInstanceUID
    assert result.SOPInstanceUID != overlay.SOPInstanceUID
    assert (result.InstanceNumber, overlay.InstanceNumber) == (1, 2)
    assert overlay_of([result, overlay]) is overlay
    for keyword in (
        "SeriesNumber",
        "SeriesDescription",
        "SeriesDate",
        "SeriesTime",
        "Modality",
    ):
        assert result[keyword] == overlay[keyword]
    for ds in (result, overlay):
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID


def test_only_the_overlay_picture_can_be_measured() -> None:
    result, overlay = pictures_of("both hips")

    assert "PixelSpacing" not in result
    assert result["PatientOrientation"].is_empty
    assert [float(value) for value in overlay.PixelSpacing] == [0.9, 0.9]
    assert list(overlay.PatientOrientation) == ["L", "F"]


def test_planes_turned_apart_have_a_remark() -> None:
    _, turned, report = built("axial, planes turned apart")
    _, straight, _ = built("axial")

    assert "reformatted separately" in turned.DerivationDescription
    assert "reformatted separately" not in straight.DerivationDescription
    comments = " ".join(item.TextValue for item in named(report, "121106"))
    assert "not across the dashed line" in comments


def test_picture_does_not_depend_on_the_identity_of_the_patient() -> None:
    other_patient = make_ct_headers(
        PatientName="Other^Person",
        PatientID="7",
        PatientBirthDate="19480101",
        StudyDate="20200101",
        AccessionNumber="Z",
    )
    pairs = zip(
        *(build_captures(make_screening(headers), at=AT) for headers in (None, other_patient)),
        strict=True,
    )
    for one, other in pairs:
        np.testing.assert_array_equal(pixels(one), pixels(other))


def test_png_holds_the_pixels_of_the_capture() -> None:
    for picture in pictures_of("odd number of pixels"):
        png = np.asarray(Image.open(BytesIO(capture_png(picture))))

        np.testing.assert_array_equal(png, pixels(picture))
        assert len(picture.PixelData) % 2 == 0


def test_header_describes_the_picture() -> None:
    screening, overlay, _ = built("rich header")
    result, _ = pictures_of("rich header")

    assert list(result.ImageType) == ["DERIVED", "SECONDARY", "RESULT"]
    assert list(overlay.ImageType) == ["DERIVED", "SECONDARY", "OVERLAY"]
    for capture in (result, overlay):
        check_header(capture, screening)


def check_header(capture: Dataset, screening: Screening) -> None:
    assert capture.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert (capture.Modality, capture.ConversionType) == ("OT", "WSD")
    assert capture.BurnedInAnnotation == "NO"
    assert capture.BodyPartExamined == "PELVIS"  # HIP would need one laterality
    assert "Laterality" not in capture
    assert capture.LossyImageCompression == "01"
    assert capture.StudyInstanceUID == screening.headers[0].StudyInstanceUID
    assert capture.SeriesInstanceUID != screening.headers[0].SeriesInstanceUID
    assert capture.SeriesDescription.startswith("DEMO")
    assert len(capture.SeriesDescription) <= 20
    assert screening.model.sha256 in capture.DerivationDescription


def test_frames_of_one_object_are_one_source_that_lists_them() -> None:
    screening, capture, _ = built("frames of an enhanced CT")
    source = capture.SourceImageSequence[0]

    assert len(capture.SourceImageSequence) == 1
    assert source.ReferencedSOPInstanceUID == screening.headers[0].SOPInstanceUID
    assert list(source.ReferencedFrameNumber) == [6, 8]


def test_sources_are_the_slices_shown_or_all_of_a_reformatted_series() -> None:
    two_planes, axial = (built(case)[0] for case in ("two planes", "axial"))
    shown = {hip.plane.source_sop_uid for hip in two_planes.hips if hip.plane}
    of_two, of_all = (
        [str(item.ReferencedSOPInstanceUID) for item in built(case)[1].SourceImageSequence]
        for case in ("two planes", "axial")
    )

    assert len(shown) == len(of_two) == 2
    assert set(of_two) == shown
    assert len(of_all) == len(axial.headers)
