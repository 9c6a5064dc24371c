"""The Secondary Capture: pixels, banner, header. Legibility is looked at, not tested."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFont
from pydicom import Dataset

from tests.factories import make_ct_headers, make_screening
from tests.hip_phantom import make_volume
from tests.report_cases import AT, CASES, CLINICAL_MODEL, METAL, built
from tests.report_rules import named
from worker.pipeline.capture import build_capture, capture_png
from worker.pipeline.capture_banner import draw_banner, drawable, wrap
from worker.pipeline.capture_draw import draw_anatomy, inferno
from worker.pipeline.capture_layout import arrange
from worker.pipeline.crop import window
from worker.pipeline.header import to_bytes
from worker.pipeline.results import (
    Grade,
    Hip,
    HipCrop,
    NeckAttenuation,
    NeckUnseen,
    Plane,
    Screening,
)

RIGHT, LEFT = 0, 1
AMBER = (255, 190, 0)


def pixels(capture: Dataset) -> npt.NDArray[np.uint8]:
    flat = np.frombuffer(capture.PixelData, np.uint8)
    count = capture.Rows * capture.Columns * 3
    return flat[:count].reshape(capture.Rows, capture.Columns, 3)


def with_hip(screening: Screening, index: int, **changes: object) -> Screening:
    hips = list(screening.hips)
    hips[index] = replace(hips[index], **changes)  # type: ignore[arg-type]
    return replace(screening, hips=tuple(hips))


def cold(hip: Hip) -> Hip:
    """The same hip with a heat map of zeros."""
    return replace(hip, heat_map=np.zeros((250, 250), np.float32))


def plane_and_crop(hip: Hip) -> tuple[Plane, HipCrop]:
    assert hip.plane is not None
    assert hip.crop is not None
    return hip.plane, hip.crop


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


def test_anatomy_outside_the_boxes_is_the_windowed_source_pixel_by_pixel() -> None:
    screening = make_screening(right=None)
    plane, crop = plane_and_crop(screening.hips[0])
    picture = draw_anatomy(screening.hips).pixels

    expected = np.rint(window(plane.hu)).astype(np.uint8)
    part = slice(60, None), slice(60, int(crop.col))  # below the mark R, beside the box
    assert expected[part].size > 10_000
    for channel in range(3):
        np.testing.assert_array_equal(picture[..., channel][part], expected[part])


def test_heat_is_blended_at_three_tenths_inside_the_box() -> None:
    screening = make_screening(right=None, neck_hu=None)
    hip = replace(screening.hips[0], heat_map=np.ones((250, 250), np.float32))
    plane, crop = plane_and_crop(hip)
    row, column = int(crop.row) + 100, int(crop.col) + 100
    picture = draw_anatomy([hip]).pixels

    gray = window(plane.hu)[row, column]
    np.testing.assert_allclose(picture[row, column], 0.7 * gray + 0.3 * inferno(1.0), atol=1)


def test_heat_map_lies_where_its_crop_lies() -> None:
    heat = np.zeros((250, 250), np.float32)
    heat[40:60, 180:200] = 1
    hip = make_screening(make_ct_headers(size=(512, 700)), right=None, neck_hu=None).hips[0]
    plane, crop = plane_and_crop(hip)
    hot, without = (draw_anatomy([h]).pixels for h in (replace(hip, heat_map=heat), cold(hip)))

    rows, columns = np.nonzero((hot != without).any(axis=2))
    center = rows.mean() + 0.5, columns.mean() + 0.5
    scale = crop.pixel_mm / plane.row_spacing_mm
    expected = crop.row + 50 * scale, crop.col + 190 * scale
    np.testing.assert_allclose(center, expected, atol=0.5)


def test_each_side_of_the_seam_shows_the_plane_and_heat_of_its_own_hip() -> None:
    right, left = make_screening(planes=(4, 8), neck_hu=None).hips
    both = draw_anatomy([cold(right), cold(left)]).pixels
    hot_left = draw_anatomy([cold(right), left]).pixels

    below = slice(450, None)  # below the boxes
    right_gray, left_gray = (
        np.rint(window(plane_and_crop(hip)[0].hu))[below] for hip in (right, left)
    )
    assert (right_gray != left_gray).any()
    np.testing.assert_array_equal(both[below, :250, 0], right_gray[:, :250])
    np.testing.assert_array_equal(both[below, 262:, 0], left_gray[:, 262:])
    changed = np.nonzero((both != hot_left).any(axis=(0, 2)))[0]
    assert changed.min() >= 255


def test_planes_turned_apart_are_joined_at_the_midline_and_keep_their_pixels() -> None:
    screening = built("axial, planes turned apart")[0]
    right, left = (cold(replace(hip, neck=None)) for hip in screening.hips)
    picture = draw_anatomy([right, left])
    layout = arrange([right, left])
    assert layout.seam is not None
    seam, beyond = layout.seam, layout.size[1] - layout.seam

    assert picture.column_spacing_mm == pytest.approx(0.8)
    (right_plane, _), (left_plane, _) = plane_and_crop(right), plane_and_crop(left)
    below = slice(315, None)  # below the boxes
    expected = np.hstack(
        [
            np.rint(window(right_plane.hu))[below, :seam],
            np.rint(window(left_plane.hu))[below, -beyond:],
        ]
    )
    shown = picture.pixels[below, :, 0]
    assert len(shown) > 10
    np.testing.assert_array_equal(shown[:, : seam - 1], expected[:, : seam - 1])
    np.testing.assert_array_equal(shown[:, seam + 1 :], expected[:, seam + 1 :])
    # Both planes pass the seam at one place from right to left: the middle of the patient.
    first_left = left_plane.hu.shape[1] - beyond
    x_mm = [
        plane.to_mm((0, column - 0.5))[0]
        for plane, column in ((right_plane, seam), (left_plane, first_left))
    ]
    np.testing.assert_allclose(x_mm, 0, atol=2)
    assert x_mm[0] == pytest.approx(x_mm[1], abs=0.8)


def test_coarse_planes_turned_apart_are_magnified_alike() -> None:
    hips = built("axial, planes turned apart, coarse")[0].hips
    layout = arrange(hips)

    assert layout.size[1] >= 512
    assert layout.size == draw_anatomy(hips).pixels.shape[:2]
    for half in layout.halves:
        extent = np.array(half.size) * layout.spacing_mm
        pixel_mm = half.plane.row_spacing_mm, half.plane.column_spacing_mm
        np.testing.assert_allclose(extent, np.multiply(half.plane.hu.shape, pixel_mm))


def test_planes_turned_apart_are_said_to_be_so() -> None:
    _, turned, report = built("axial, planes turned apart")
    _, straight, _ = built("axial")

    assert "reformatted separately" in turned.DerivationDescription
    assert "reformatted separately" not in straight.DerivationDescription
    said = " ".join(item.TextValue for item in named(report, "121106"))
    assert "not across the dashed line" in said


def test_heat_of_a_turned_plane_stays_on_its_own_half() -> None:
    right, left = built("axial, planes turned apart")[0].hips
    seam = arrange([right, left]).seam
    assert seam is not None
    everywhere = np.ones((250, 250), np.float32)
    hot = draw_anatomy([cold(right), replace(left, heat_map=everywhere)]).pixels
    without = draw_anatomy([cold(right), cold(left)]).pixels

    assert np.nonzero((hot != without).any(axis=(0, 2)))[0].min() >= seam


def test_not_assessable_hip_adds_no_heat_and_no_box() -> None:
    alone = draw_anatomy(make_screening(right=None).hips).pixels
    beside_metal = draw_anatomy(make_screening(right=METAL).hips).pixels

    np.testing.assert_array_equal(alone, beside_metal)


def test_screening_without_graded_hip_has_no_picture() -> None:
    with pytest.raises(ValueError, match="graded hip"):
        draw_anatomy([Hip("R", reason=METAL)])


@pytest.mark.parametrize("case", [case for case in CASES if "turned" not in case])
def test_millimetres_of_the_anatomy_are_kept(case: str) -> None:
    screening, capture, _ = built(case)
    plane = screening.deciding_hip.plane
    assert plane is not None
    rows, columns, _ = draw_anatomy(screening.hips).pixels.shape

    row_mm, column_mm = (float(value) for value in capture.PixelSpacing)
    assert rows * row_mm == pytest.approx(plane.hu.shape[0] * plane.row_spacing_mm, 1e-4)
    assert columns * column_mm == pytest.approx(
        plane.hu.shape[1] * plane.column_spacing_mm, 1e-4
    )
    assert row_mm == pytest.approx(column_mm, rel=0.005)
    assert columns >= 512


def test_small_plane_is_magnified_by_whole_pixels() -> None:
    headers = make_ct_headers(size=(256, 256), pixel_mm=(1.8, 1.8))
    screening = make_screening(headers, right=None, neck_hu=None)
    plane, _ = plane_and_crop(screening.hips[0])
    picture = draw_anatomy(screening.hips).pixels

    part = np.rint(window(plane.hu))[100:, 40:100]
    expected = np.repeat(np.repeat(part, 2, axis=0), 2, axis=1)
    np.testing.assert_array_equal(picture[200:, 80:200, 0], expected)


def test_femoral_head_is_round_where_the_plane_is_not_square() -> None:
    headers = make_ct_headers(
        orientation="axial", slices=90, size=(128, 512), pixel_mm=(3.2, 0.8)
    )
    volume = make_volume(headers, square=False)
    screening = make_screening(headers, volume=volume, left=None, neck_hu=None)
    hip = cold(screening.hips[0])
    plane, _ = plane_and_crop(hip)
    assert plane.row_spacing_mm == pytest.approx(3.0)
    picture = draw_anatomy([hip])

    bone = picture.pixels[..., 0] > 0.7 * window(np.array([500.0]))[0]
    head_row, head_column = plane.to_index((-92.0, 2.0, 0.0))
    row = round((head_row + 0.5) * 3.0 / picture.row_spacing_mm)
    column = round((head_column + 0.5) * 0.8 / picture.column_spacing_mm)
    # The outermost cortex upwards and towards the midline, within 30 mm.
    upwards = np.flatnonzero(bone[row - 37 : row + 1, column][::-1]).max()
    inwards = np.flatnonzero(bone[row, column : column + 38]).max()
    assert upwards * picture.row_spacing_mm == pytest.approx(23, abs=2.5)
    assert inwards * picture.column_spacing_mm == pytest.approx(23, abs=2.5)


def test_neck_outline_is_thin_and_lies_where_it_was_measured() -> None:
    hip = cold(make_screening(right=None).hips[0])
    plane, _ = plane_and_crop(hip)
    assert isinstance(hip.neck, NeckAttenuation)
    with_outline, without = (
        draw_anatomy([each]).pixels for each in (hip, replace(hip, neck=None))
    )

    changed = (with_outline != without).any(axis=2)
    expected = plane.to_index(hip.neck.outline_mm).mean(axis=0)
    np.testing.assert_allclose(np.argwhere(changed).mean(axis=0), expected, atol=0.6)
    # A ring of 6.5 mm radius, one pixel wide.
    assert changed.sum() < 1.3 * 2 * np.pi * 6.5 / plane.row_spacing_mm


def test_banner_says_why_a_neck_was_not_measured() -> None:
    screening = make_screening()
    unseen, other = (
        with_hip(screening, RIGHT, neck=NeckUnseen(text)) for text in ("No outline.", "Metal.")
    )

    banners = {draw_banner(each, 512).tobytes() for each in (screening, unseen, other)}
    assert len(banners) == 3


def test_banner_words_three_warnings_and_counts_the_rest() -> None:
    def rows(*warnings: str) -> int:
        return int(draw_banner(make_screening(warnings=warnings), 512).shape[0])

    short, long = "Noise is high.", "long " * 60

    assert rows() < rows(short) < rows(short, short) < rows(*[short] * 3) < rows(*[short] * 4)
    assert rows(*[short] * 4) == rows(*[short] * 9)
    assert rows(short, short, long) > rows(short, short, short)
    assert rows(*[short] * 3, long) == rows(*[short] * 4)


def test_picture_does_not_depend_on_who_the_patient_is() -> None:
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


@pytest.mark.parametrize("width", [512, 535, 600, 1024])
def test_banner_grows_until_every_line_is_in(width: int) -> None:
    short = draw_banner(make_screening(right=METAL), width)
    long = draw_banner(make_screening(right=replace(METAL, text="metal " * 80)), width)

    assert long.shape[0] > short.shape[0] + 100
    assert long.shape[1] == short.shape[1] == width
    for banner in (short, long):
        # Nothing touches the lower and the right edge: no text was cut.
        assert np.ptp(banner[-4:].reshape(-1, 3), axis=0).max() == 0
        assert np.ptp(banner[-150:, -3:].reshape(-1, 3), axis=0).max() == 0


def test_banner_tells_every_state_of_a_hip_apart() -> None:
    results = (*Grade, METAL, None)
    banners = {
        draw_banner(make_screening(right=right, left=Grade.OSTEOPOROSIS), 512).tobytes()
        for right in results
    }

    assert len(banners) == len(results)


def test_demonstration_model_and_no_other_has_the_amber_notice() -> None:
    simulated = draw_banner(make_screening(), 512)
    clinical = draw_banner(make_screening(model=CLINICAL_MODEL), 512)

    assert (simulated == AMBER).all(axis=2)[:40].mean() > 0.5
    assert not (clinical == AMBER).all(axis=2).any()


@given(st.text(max_size=200), st.integers(40, 400))
def test_wrapped_lines_fit_and_keep_every_word(text: str, width: int) -> None:
    font = ImageFont.load_default(15)
    lines = wrap(text, font, width)

    assert all(font.getlength(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(drawable(text).split())


def test_drawable_uses_only_the_letters_of_the_font() -> None:
    assert drawable("für – 5 ± 1 × 3° Ω") == "fur - 5 ± 1 x 3° ?"


def test_colors_are_those_of_inferno() -> None:
    colormap = pytest.importorskip("matplotlib").colormaps["inferno"]
    values = np.linspace(0, 1, 101)

    np.testing.assert_allclose(inferno(values), 255 * colormap(values)[:, :3], atol=8)


def test_png_holds_the_pixels_of_the_capture() -> None:
    capture = built("odd number of pixels")[1]
    png = np.asarray(Image.open(BytesIO(capture_png(capture))))

    np.testing.assert_array_equal(png, pixels(capture))
    assert len(capture.PixelData) % 2 == 0


def test_header_says_what_the_picture_is() -> None:
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


def test_frames_of_one_object_are_one_source_that_names_them() -> None:
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
