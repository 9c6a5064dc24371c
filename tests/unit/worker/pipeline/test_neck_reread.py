"""The attenuation of the neck, compared with the pixels of the files in the reported outline.

Covered: simulated coronal series as single-frame and as enhanced CT. Not covered: reformatted
input, which has no source slice (report/test_regions).
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.path import Path as Outline
from pydicom import Dataset, dcmread

from tests.support import enhanced_ct
from tests.support.ct_volume import load_series
from tests.support.factories import MODEL
from tests.support.report_cases import AT
from tests.support.report_tree import groups, named
from tests.support.series import simulate_small
from worker.pipeline import select
from worker.pipeline.capture.secondary_capture import build_captures
from worker.pipeline.crop import crop_hip
from worker.pipeline.neck import neck_attenuation
from worker.pipeline.report.document import build_report
from worker.pipeline.results import Grade, Hip, Screening
from worker.pipeline.volume import Femur, Volume

NECK_OF_FEMUR = "29627003"


@pytest.fixture(scope="module")
def single_frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return simulate_small(tmp_path_factory.mktemp("coronal"), "coronal")


@pytest.fixture(scope="module")
def multi_frame(
    single_frames: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("enhanced")
    return tuple(enhanced_ct.write_enhanced(enhanced_ct.read(single_frames), folder))


@pytest.fixture(scope="module")
def femurs(single_frames: tuple[Path, ...]) -> tuple[Femur, ...]:
    return select.find_femurs(load_series(single_frames)[1])


def reported(paths: tuple[Path, ...], femurs: tuple[Femur, ...]) -> Dataset:
    """Return the report of a series with invented grades."""
    series, volume = load_series(paths)
    hips = tuple(_graded(volume, femur) for femur in femurs)
    screening = Screening(
        series.series_instance_uid, "coronal", series.headers, hips, Grade.NORMAL, MODEL
    )
    return build_report(screening, build_captures(screening, at=AT), at=AT)


def _graded(volume: Volume, femur: Femur) -> Hip:
    plane = select.choose_plane(volume, femur)
    return Hip(
        side=femur.side,
        femur=femur,
        plane=plane,
        crop=crop_hip(plane, femur),
        neck=neck_attenuation(volume, plane, femur),
        probabilities={Grade.NORMAL: 0.8, Grade.OSTEOPENIA: 0.1, Grade.OSTEOPOROSIS: 0.1},
        grade=Grade.NORMAL,
        heat_map=np.zeros((250, 250), np.float32),
    )


def source_hu(reference: Dataset, paths: tuple[Path, ...]) -> npt.NDArray[np.float64]:
    """Return (rows, columns) HU of the referenced image or frame, by pydicom alone."""
    for path in paths:
        header = dcmread(path, stop_before_pixels=True)
        if header.SOPInstanceUID != reference.ReferencedSOPInstanceUID:
            continue
        ds = dcmread(path)
        if "ReferencedFrameNumber" not in reference:
            return ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        frame = int(reference.ReferencedFrameNumber) - 1
        groups = (
            ds.SharedFunctionalGroupsSequence[0],
            ds.PerFrameFunctionalGroupsSequence[frame],
        )
        values = next(g for g in groups if "PixelValueTransformationSequence" in g)
        rescale = values.PixelValueTransformationSequence[0]
        slope, intercept = float(rescale.RescaleSlope), float(rescale.RescaleIntercept)
        return np.asarray(ds.pixel_array[frame] * slope + intercept)
    raise AssertionError("The report refers to an image that does not exist.")


def number(group: Dataset, code_value: str) -> float:
    return float(named(group, code_value)[0].MeasuredValueSequence[0].NumericValue)


@pytest.mark.parametrize("kind", ["single_frames", "multi_frame"])
def test_attenuation_is_near_that_of_the_source_slice_inside_the_reported_outline(
    kind: str, femurs: tuple[Femur, ...], request: pytest.FixtureRequest
) -> None:
    """The region is a few mm deep; the slice is its middle, with noise of its own."""
    paths: tuple[Path, ...] = request.getfixturevalue(kind)
    report = reported(paths, femurs)
    necks = [
        group
        for group in groups(report)
        if named(group, "121071")[0].ConceptCodeSequence[0].CodeValue == NECK_OF_FEMUR
    ]
    assert len(necks) == 2
    for group in necks:
        region = named(group, "111030")[0]
        hu = source_hu(region.ContentSequence[0].ReferencedSOPSequence[0], paths)
        rows, columns = np.indices(hu.shape) + 0.5
        centers = np.column_stack([columns.ravel(), rows.ravel()])
        points = np.reshape(region.GraphicData, (-1, 2))
        inside = hu[Outline(points).contains_points(centers).reshape(hu.shape)]

        assert inside.size >= 20
        error = 2 * inside.std(ddof=1) / np.sqrt(inside.size)
        assert inside.mean() == pytest.approx(number(group, "112181"), abs=error + 8)
