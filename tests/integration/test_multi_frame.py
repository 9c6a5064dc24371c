"""Enhanced and Legacy Converted CT through the whole pipeline, from files to SR and SC.

Covered: the same result as single-frame images, references to frames. Not covered: single
header values (test_frames), servers.
"""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from tests.support import enhanced_ct
from tests.support.servers import require_tool
from worker.pipeline.capture.secondary_capture import build_captures
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.model.package import SHIPPED_DIR, load
from worker.pipeline.report.document import build_report
from worker.pipeline.results import Model, Screening
from worker.pipeline.screen import screen

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WRITERS = {
    "enhanced": enhanced_ct.write_enhanced,
    "legacy": enhanced_ct.write_legacy_converted,
}


@pytest.fixture(scope="module")
def model() -> Model:
    return load(SHIPPED_DIR)


@pytest.fixture(scope="module")
def single_frame(coronal_series: tuple[Path, ...], model: Model) -> Screening:
    return screened(coronal_series, model)


def screened(paths: tuple[Path, ...] | list[Path], model: Model) -> Screening:
    result = screen(paths, model)
    assert isinstance(result, Screening), result
    return result


@pytest.mark.parametrize("name", WRITERS)
def test_multi_frame_is_graded_as_its_single_frame_images(
    name: str,
    coronal_series: tuple[Path, ...],
    single_frame: Screening,
    model: Model,
    tmp_path: Path,
) -> None:
    images = enhanced_ct.read(coronal_series)
    multi = screened(WRITERS[name](images[::-1], tmp_path), model)

    assert multi.grade is single_frame.grade
    assert multi.orientation == "coronal"
    for one, other in zip(multi.hips, single_frame.hips, strict=True):
        assert one.femur == other.femur
        assert one.probabilities == other.probabilities
        assert one.crop is not None
        assert other.crop is not None
        np.testing.assert_array_equal(one.crop.pixels, other.crop.pixels)


def test_report_and_capture_refer_to_the_frames_that_were_read(
    coronal_series: tuple[Path, ...], model: Model, tmp_path: Path
) -> None:
    images = enhanced_ct.read(coronal_series)
    paths = enhanced_ct.write_enhanced(images, tmp_path, parts=2)
    screening = screened(paths, model)
    capture, overlay = build_captures(screening, at=AT)
    report = build_report(screening, [capture, overlay], at=AT)
    by_uid = {str(ds.SOPInstanceUID): ds for ds in screening.headers}
    shown = {
        (hip.plane.source_sop_uid, hip.plane.source_frame)
        for hip in screening.hips
        if hip.plane
    }

    referenced = {
        (str(item.ReferencedSOPInstanceUID), int(item.ReferencedFrameNumber))
        for item in items(report)
        if "ReferencedFrameNumber" in item
    }
    sources = [item for item in items(report) if item.get("ReferencedSOPInstanceUID") in by_uid]
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    listed = [
        str(item.ReferencedSOPInstanceUID)
        for series in evidence
        for item in series.ReferencedSOPSequence
    ]

    assert len(by_uid) == 2
    assert all(frame is not None for _, frame in shown)
    assert referenced == shown
    pictures = [str(ds.SOPInstanceUID) for ds in (capture, overlay)]
    assert sorted(listed) == sorted([*by_uid, *pictures])
    # In the content tree, an image of many frames is never referenced without its frame.
    assert sum("ReferencedFrameNumber" not in item for item in sources) == len(by_uid)
    frames = {
        (str(item.ReferencedSOPInstanceUID), int(frame))
        for item in capture.SourceImageSequence
        for frame in np.atleast_1d(item.ReferencedFrameNumber)
    }
    assert frames == shown
    dciodvfy = require_tool("dciodvfy", "dicom3tools")
    for ds in (report, capture, overlay):
        path = tmp_path / "validated.dcm"
        path.write_bytes(to_bytes(ds))
        found = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False)
        assert "Error" not in found.stderr, found.stderr


def items(ds: Dataset) -> Iterator[Dataset]:
    """Yield every item of every sequence below a data set."""
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from items(item)
