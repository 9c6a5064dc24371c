"""Covered: regions of the SR against the geometry of the source, computed from its header."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.path import Path
from pydicom import Dataset

from tests.support.factories import make_screening, plane_and_crop, with_hip
from tests.support.report_cases import AT, built, pictures_of
from tests.support.report_tree import groups, name, named, value
from worker.pipeline.capture.overlay import draw_overlay
from worker.pipeline.crop import window
from worker.pipeline.plane_layout import lay_out_planes
from worker.pipeline.report.document import build_report
from worker.pipeline.report.regions import SopClass
from worker.pipeline.results import NeckAttenuation, Screening

Shape = tuple[int, ...]


def pixels_inside(outline: npt.NDArray[np.float64], shape: Shape) -> npt.NDArray[np.bool_]:
    """Return the mask of the pixels whose centers lie inside (n, 2) vertices (row, column)."""
    centers = np.column_stack([index.ravel() for index in np.indices(shape)])
    return np.asarray(Path(outline).contains_points(centers).reshape(shape))


def regions(report: Dataset, structure: str) -> list[Dataset]:
    """Return the regions of the groups whose finding is a structure, right first."""
    return [
        named(group, "111030")[0]
        for group in groups(report)
        if named(group, "121071")[0].ConceptCodeSequence[0].CodeValue == structure
    ]


def femurs(report: Dataset) -> list[Dataset]:
    return regions(report, "310651003")


def necks(report: Dataset) -> list[Dataset]:
    return regions(report, "29627003")


def points(region: Dataset) -> npt.NDArray[np.float64]:
    dimensions = 3 if region.ValueType == "SCOORD3D" else 2
    return np.reshape(region.GraphicData, (-1, dimensions)).astype(float)


def image_uid(region: Dataset) -> str:
    return str(region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def to_mm(header: Dataset, pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert (n, 2) (column, row) of SCOORD to (n, 3) patient LPS mm (PS3.3 C.7.6.2.1.1)."""
    row_mm, column_mm = (float(spacing) for spacing in header.PixelSpacing)
    along, down = np.reshape([float(v) for v in header.ImageOrientationPatient], (2, 3))
    origin = np.array([float(v) for v in header.ImagePositionPatient])
    columns, rows = pixels[:, :1] - 0.5, pixels[:, 1:] - 0.5
    return np.asarray(origin + columns * column_mm * along + rows * row_mm * down)


def source_of(screening: Screening, region: Dataset) -> Dataset:
    headers = {str(header.SOPInstanceUID): header for header in screening.headers}
    return headers[image_uid(region)]


@pytest.mark.parametrize(
    "case", ["crop inside the field of view", "coronal, pixels not square", "two planes"]
)
def test_region_on_the_source_slice_is_the_outline_of_the_femur(case: str) -> None:
    screening, _, report = built(case)
    for hip, region in zip(screening.hips, femurs(report), strict=True):
        plane, _ = plane_and_crop(hip)
        header = source_of(screening, region)

        assert header.SOPInstanceUID == plane.source_sop_uid
        assert hip.outline_mm is not None
        outline = to_mm(header, points(region))
        np.testing.assert_allclose(outline[:-1], hip.outline_mm, atol=1e-3)
        np.testing.assert_array_equal(outline[0], outline[-1])


@pytest.mark.parametrize("case", ["both hips", "axial"])
def test_only_the_outline_of_the_femur_bounds_its_finding(case: str) -> None:
    for group in groups(built(case)[2]):
        structure = named(group, "121071")[0].ConceptCodeSequence[0].CodeValue
        purposes = [value(item) for item in named(group, "130400")]

        assert purposes == (["75958009"] if structure == "310651003" else [])


def test_crop_is_the_region_where_the_femur_has_no_outline_and_bounds_nothing() -> None:
    screening = with_hip(make_screening(), 0, outline_mm=None)
    report = build_report(screening, pictures_of("both hips"), at=AT)
    region = femurs(report)[0]
    _, crop = plane_and_crop(screening.hips[0])

    assert named(groups(report)[0], "130400") == []
    # Nine points, the corners among them.
    assert len(points(region)) == 9
    inside = points(region)[2:7:2]
    corners = to_mm(source_of(screening, region), inside)
    header = source_of(screening, region)
    limit = header.Columns, header.Rows
    kept = (inside > 0).all(axis=1) & (inside < limit).all(axis=1)
    assert kept.any()
    np.testing.assert_allclose(corners[kept], np.array(crop.corners_mm)[1:][kept], atol=1e-3)


def test_flipped_source_mirrors_the_columns_of_the_region() -> None:
    mirrored = points(necks(built("flipped source")[2])[0])
    straight = points(necks(built("both hips")[2])[0])

    np.testing.assert_allclose(mirrored[:, 0], 512 - straight[:, 0], atol=1e-3)
    np.testing.assert_allclose(mirrored[:, 1], straight[:, 1], atol=1e-3)


@pytest.mark.parametrize("case", ["both hips", "coronal, pixels not square", "flipped source"])
def test_neck_is_the_closed_outline_that_it_was_measured_in(case: str) -> None:
    screening, _, report = built(case)
    for hip, region in zip(screening.hips, necks(report), strict=True):
        outline = to_mm(source_of(screening, region), points(region))

        assert region.GraphicType == "POLYLINE"
        assert isinstance(hip.neck, NeckAttenuation)
        np.testing.assert_allclose(outline[:-1], hip.neck.outline_mm, atol=1e-3)
        np.testing.assert_array_equal(outline[0], outline[-1])


@pytest.mark.parametrize("case", ["both hips", "coronal, pixels not square", "flipped source"])
def test_values_and_comment_of_the_neck_describe_the_measured_region(case: str) -> None:
    screening, _, report = built(case)
    for hip, group in zip(screening.hips, groups(report)[1::2], strict=True):
        assert isinstance(hip.neck, NeckAttenuation)
        mean, sd, area = (
            float(named(group, code)[0].MeasuredValueSequence[0].NumericValue)
            for code in ("112181", "112183", "42798000")
        )
        plane, _ = plane_and_crop(hip)
        outline = plane.to_index(hip.neck.outline_mm)
        pixel_mm2 = plane.row_spacing_mm * plane.column_spacing_mm
        inside = pixels_inside(outline, plane.hu.shape)

        assert mean == pytest.approx(hip.neck.mean_hu, abs=0.06)
        assert sd == pytest.approx(hip.neck.sd_hu, abs=0.06)
        assert inside.sum() * pixel_mm2 == pytest.approx(area, rel=0.05)
        assert named(group, "121106")[0].TextValue == (
            "Of 1.2 cm³ of trabecular bone in the volume; the outline is its projection."
        )


def test_neck_that_was_not_measured_has_its_reason_in_the_group_of_the_hip() -> None:
    _, _, report = built("neck of one hip not seen")
    right, left = (
        [item.TextValue for item in named(group, "121106")]
        for group in (groups(report)[0], groups(report)[1])
    )

    assert len(necks(report)) == 1
    assert right == [
        "Neck attenuation was not measured. The outline of the neck cannot be seen."
    ]
    assert left == []


@pytest.mark.parametrize("case", ["axial", "axial, pixels not square"])
def test_region_of_a_reformatted_plane_is_on_the_overlay_picture(case: str) -> None:
    screening, overlay, report = built(case)
    spacing = [float(mm) for mm in overlay.PixelSpacing]
    for hip, region in zip(screening.hips, femurs(report), strict=True):
        plane, _ = plane_and_crop(hip)
        assert hip.outline_mm is not None
        expected = (plane.to_index(hip.outline_mm) + 0.5) * (
            plane.row_spacing_mm / spacing[0],
            plane.column_spacing_mm / spacing[1],
        )

        assert (region.ValueType, region.GraphicType) == ("SCOORD", "POLYLINE")
        assert image_uid(region) == overlay.SOPInstanceUID
        np.testing.assert_allclose(points(region)[:-1, ::-1], expected, atol=0.01)


def test_reformatted_hip_refers_to_the_axial_slice_through_its_neck() -> None:
    screening, _, report = built("axial")
    headers = {str(header.SOPInstanceUID): header for header in screening.headers}
    hips = [group for group in groups(report) if named(group, "130400")]

    for hip, group in zip(screening.hips, hips, strict=True):
        (image,) = named(group, "121112")
        uid = str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        assert hip.femur is not None
        height = float(headers[uid].ImagePositionPatient[2])
        assert height == pytest.approx(hip.femur.neck_mm[2], abs=1.5)
    assert named(built("both hips")[2], "121112") == []


@pytest.mark.parametrize(
    ("case", "sop_class"),
    [
        ("axial", "comprehensive"),
        ("axial, pixels not square", "comprehensive"),
        ("axial without frame of reference", "comprehensive3d"),
    ],
)
def test_region_is_on_the_capture_where_no_3d_coordinates_are_possible(
    case: str, sop_class: SopClass
) -> None:
    screening, capture, report = built(case, sop_class)
    for hip, region in zip(screening.hips, necks(report), strict=True):
        plane, _ = plane_and_crop(hip)
        assert isinstance(hip.neck, NeckAttenuation)

        assert image_uid(region) == capture.SOPInstanceUID
        spacing = np.array([float(value) for value in capture.PixelSpacing])
        index = plane.to_index(hip.neck.outline_mm) + 0.5
        expected = index * (plane.row_spacing_mm, plane.column_spacing_mm) / spacing
        np.testing.assert_allclose(points(region)[:-1, ::-1], expected, atol=0.01)


def test_region_on_a_capture_of_turned_planes_holds_the_pixels_that_were_measured() -> None:
    case = "axial, planes turned apart"
    shown = [
        replace(hip, neck=None, outline_mm=None, heat_map=None) for hip in built(case)[0].hips
    ]
    picture = draw_overlay(lay_out_planes(shown))[..., 0]
    screening, _, report = built(case, "comprehensive")
    for hip, region in zip(screening.hips, necks(report), strict=True):
        plane, _ = plane_and_crop(hip)
        assert isinstance(hip.neck, NeckAttenuation)
        inside = pixels_inside(plane.to_index(hip.neck.outline_mm), plane.hu.shape)
        on_capture = pixels_inside(points(region)[:, ::-1] - 0.5, picture.shape)

        assert inside.sum() == on_capture.sum()
        expected = window(plane.hu[inside]).mean()
        assert picture[on_capture].mean() == pytest.approx(expected, abs=0.5)


def test_femur_on_a_picture_of_turned_planes_ends_at_the_seam() -> None:
    _, _, report = built("axial, planes turned apart", "comprehensive")
    right, left = (points(region)[:, 0] for region in femurs(report))

    assert right.max() <= left.min()


def test_region_of_a_frame_names_the_frame() -> None:
    screening, _, report = built("frames of an enhanced CT")
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence

    for hip, region in zip(screening.hips, necks(report), strict=True):
        plane, _ = plane_and_crop(hip)
        reference = region.ContentSequence[0].ReferencedSOPSequence[0]
        assert reference.ReferencedFrameNumber == plane.source_frame
    frames = [
        item.ReferencedSOPSequence[0].ReferencedFrameNumber
        for item in named(report, "126200")[0].ContentSequence
        if item.ValueType == "IMAGE"
    ]
    assert frames == [6, 8]
    assert [len(series.ReferencedSOPSequence) for series in evidence] == [1, 2]


def test_region_on_the_capture_stays_on_the_anatomy() -> None:
    _, capture, report = built("axial", "comprehensive")
    rows = max(float(points(region)[:, 1].max()) for region in femurs(report))

    assert rows <= capture.Rows


def test_key_slices_of_an_axial_series_pass_through_the_necks() -> None:
    screening, _, report = built("axial")
    library = named(report, "126200")[0]
    headers = {str(header.SOPInstanceUID): header for header in screening.headers}

    heights = [
        float(headers[str(sop.ReferencedSOPInstanceUID)].ImagePositionPatient[2])
        for item in library.ContentSequence
        for sop in item.get("ReferencedSOPSequence", ())
    ]
    assert len(heights) == 1  # both necks lie in one slice
    assert heights[0] == pytest.approx(-24, abs=1.5)


def test_the_label_of_a_neck_in_a_viewer_has_one_number() -> None:
    """Viewers label a region with the numbers of its group, not with those below one."""
    _, _, report = built("both hips")
    for group in groups(report)[1::2]:
        numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]

        assert [name(item) for item in numbers] == ["112181"]
        assert [name(item) for item in numbers[0].ContentSequence] == ["112183", "42798000"]
