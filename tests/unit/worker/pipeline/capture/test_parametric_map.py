"""Covered: the Grad-CAM as a Parametric Map: values, position, references. Not covered:
validators (integration/test_validators)."""

from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread

from tests.support.factories import make_ct_headers, make_screening
from tests.support.report_cases import AT, CASES, screening_of
from tests.support.report_tree import named
from worker.pipeline.capture.parametric_map import build_parametric_map
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.results import Hip, Screening
from worker.screening.outputs import OutputOptions, build_outputs


def map_of(screening: Screening) -> Dataset:
    """Return the object as a receiver reads it."""
    ds = build_parametric_map(screening, at=AT)
    assert ds is not None
    return dcmread(BytesIO(to_bytes(ds)))


def values(ds: Dataset) -> npt.NDArray[np.float64]:
    """Return (frames, rows, columns) 0–1 by the object's own mapping."""
    stored = np.frombuffer(ds.PixelData, "<u2").reshape(-1, ds.Rows, ds.Columns)
    mapping = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    return np.asarray(stored * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept)


def place_mm(ds: Dataset, frame: int, row: int, column: int) -> npt.NDArray[np.float64]:
    """Return the center of a pixel, patient LPS mm (PS3.3 C.7.6.2.1.1)."""
    shared, own = (
        ds.SharedFunctionalGroupsSequence[0],
        ds.PerFrameFunctionalGroupsSequence[frame],
    )
    orientation = own if "PlaneOrientationSequence" in own else shared
    cosines = orientation.PlaneOrientationSequence[0].ImageOrientationPatient
    along, down = np.reshape([float(v) for v in cosines], (2, 3))
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    origin = [float(v) for v in own.PlanePositionSequence[0].ImagePositionPatient]
    return np.asarray(np.array(origin) + column * column_mm * along + row * row_mm * down)


def hottest_mm(hip: Hip) -> npt.NDArray[np.float64]:
    """Return the peak of a hip's heat map, patient LPS mm, by the corners of its crop."""
    assert hip.crop is not None
    assert hip.heat_map is not None
    row, column = np.unravel_index(hip.heat_map.argmax(), hip.heat_map.shape)
    top_left, top_right, _, bottom_left = map(np.array, hip.crop.corners_mm)
    right = (top_right - top_left) * (column + 0.5) / hip.crop.size_px
    down = (bottom_left - top_left) * (row + 0.5) / hip.crop.size_px
    return np.asarray(top_left + right + down)


@pytest.mark.parametrize("case", ["both hips", "two planes", "axial, planes turned apart"])
def test_heat_lies_in_the_patient_where_the_crop_was(case: str) -> None:
    screening = screening_of(case)
    ds = map_of(screening)
    heat = values(ds)
    middle = ds.Columns // 2

    for hip in screening.hips:
        part = slice(0, middle) if hip.side == "R" else slice(middle, None)
        frame = int(heat[:, :, part].max(axis=(1, 2)).argmax())
        row, column = np.unravel_index(
            heat[frame, :, part].argmax(), heat[frame, :, part].shape
        )
        found = place_mm(ds, frame, int(row), int(column) + (part.start or 0))
        assert np.linalg.norm(found - hottest_mm(hip)) < 4
        assert heat[frame, row, int(column) + (part.start or 0)] > 0.9


@pytest.mark.parametrize(
    ("case", "frames"),
    [("both hips", 1), ("two planes", 2), ("axial, planes turned apart", 2)],
)
def test_each_plane_is_one_frame(case: str, frames: int) -> None:
    ds = map_of(screening_of(case))

    assert ds.NumberOfFrames == frames
    assert len(ds.PerFrameFunctionalGroupsSequence) == frames


def test_outside_the_crops_there_is_no_heat() -> None:
    screening = make_screening(right=None)
    crop = screening.hips[0].crop
    assert crop is not None

    assert values(map_of(screening))[0, :, : int(crop.col) - 1].max() == 0


def test_quantity_is_the_gradient_weighted_class_activation() -> None:
    mapping = map_of(make_screening()).SharedFunctionalGroupsSequence[0]
    quantity = mapping.RealWorldValueMappingSequence[0].QuantityDefinitionSequence[0]

    assert quantity.ConceptCodeSequence[0].CodeValue == "130403"


def test_map_refers_to_the_series_and_to_the_slices_shown() -> None:
    screening = CASES["two planes"]()
    ds = map_of(screening)

    assert ds.ReferencedSeriesSequence[0].SeriesInstanceUID == screening.series_instance_uid
    (derivation,) = ds.SharedFunctionalGroupsSequence[0].DerivationImageSequence
    assert {item.ReferencedSOPInstanceUID for item in derivation.SourceImageSequence} == {
        hip.plane.source_sop_uid for hip in screening.hips if hip.plane
    }


def test_equal_arguments_give_equal_bytes_and_the_clock_changes_no_uid() -> None:
    screening = make_screening()
    one, same, later = (
        build_parametric_map(screening, at=at) for at in (AT, AT, AT + timedelta(days=1))
    )
    assert one is not None
    assert same is not None
    assert later is not None

    assert to_bytes(one) == to_bytes(same) != to_bytes(later)
    assert one.SOPInstanceUID == later.SOPInstanceUID


def test_there_is_no_map_without_frame_of_reference_or_grade() -> None:
    nowhere = make_screening(make_ct_headers(FrameOfReferenceUID=None))
    ungraded = make_screening(right=None, left=None)

    assert build_parametric_map(nowhere, at=AT) is None
    assert build_parametric_map(ungraded, at=AT) is None


def test_report_refers_to_the_map_only_where_the_option_is_set() -> None:
    screening = replace(make_screening(), warnings=())
    plain = build_outputs(screening, at=AT)
    wanted = build_outputs(screening, at=AT, options=OutputOptions(parametric_map=True))

    assert "pm" not in plain.files
    assert plain.pm is None
    assert wanted.pm is not None
    shown = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in named(wanted.sr, "130401")
    ]
    assert shown == [one.SOPInstanceUID for one in (wanted.overlay, wanted.pm)] * 2
    assert dcmread(BytesIO(wanted.files["pm"])).SOPInstanceUID == wanted.pm.SOPInstanceUID
