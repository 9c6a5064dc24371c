"""Covered: header, UIDs and sources of the Secondary Capture. Not covered: its picture
(test_draw, test_banner), validators (integration/test_validators)."""

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
from tests.support.report_cases import AT, CLINICAL_MODEL, built
from tests.support.report_rules import named
from worker.pipeline.capture.secondary_capture import build_capture, capture_png
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.results import (
    Grade,
    Screening,
)

RIGHT, LEFT = 0, 1
AMBER = (255, 190, 0)


def pixels(capture: Dataset) -> npt.NDArray[np.uint8]:
    flat = np.frombuffer(capture.PixelData, np.uint8)
    count = capture.Rows * capture.Columns * 3
    return flat[:count].reshape(capture.Rows, capture.Columns, 3)


def test_clock_changes_the_file_and_no_uid() -> None:
    screening = make_screening()
    now, later = (build_capture(screening, at=at) for at in (AT, AT + timedelta(days=1)))

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
    before, after = (build_capture(s, at=AT) for s in (screening, changed(screening)))

    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.SeriesInstanceUID != before.SeriesInstanceUID


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
        PatientBirthDate="19800101",
        StudyDate="20200101",
        AccessionNumber="Z",
    )
    one, other = (
        build_capture(make_screening(headers), at=AT) for headers in (None, other_patient)
    )

    np.testing.assert_array_equal(pixels(one), pixels(other))


def test_png_holds_the_pixels_of_the_capture() -> None:
    capture = built("odd number of pixels")[1]
    png = np.asarray(Image.open(BytesIO(capture_png(capture))))

    np.testing.assert_array_equal(png, pixels(capture))
    assert len(capture.PixelData) % 2 == 0


def test_header_describes_the_picture() -> None:
    screening, capture, _ = built("rich header")

    assert capture.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert (capture.Modality, capture.ConversionType) == ("OT", "WSD")
    assert list(capture.ImageType) == ["DERIVED", "SECONDARY", "HEATMAP"]
    assert list(capture.PatientOrientation) == ["L", "F"]
    assert capture.BurnedInAnnotation == "NO"
    assert capture.BodyPartExamined == "PELVIS"  # HIP would need one laterality
    assert "Laterality" not in capture
    assert capture.LossyImageCompression == "01"
    assert capture.StudyInstanceUID == screening.headers[0].StudyInstanceUID
    assert capture.SeriesInstanceUID != screening.headers[0].SeriesInstanceUID
    assert "DEMO" in capture.SeriesDescription
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
