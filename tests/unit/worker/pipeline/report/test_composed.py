"""Covered: SR, SC and map of a result of two series refer to both, each hip to its own.

The other tests of report and capture run on these cases too.
"""

from collections.abc import Iterator

import pytest
from pydicom import Dataset

from tests.support.report_cases import AT, CASES, built, screening_of
from worker.pipeline.capture.parametric_map import build_parametric_map

TWO_SERIES = [case for case in CASES if "series" in case]
ROOT = "1.2.826.0.1.3680043.8.498.6"
RIGHT, LEFT = f"{ROOT}.4", f"{ROOT}.7"


def items(content: Dataset) -> Iterator[Dataset]:
    """Yield all content items below an item."""
    for item in content.get("ContentSequence", ()):
        yield item
        yield from items(item)


def series_of(item: Dataset) -> set[str]:
    """Return the series of the source images below an item, by their SOP Instance UIDs."""
    uids = (
        str(reference.ReferencedSOPInstanceUID)
        for each in items(item)
        for reference in each.get("ReferencedSOPSequence", ())
    )
    return {uid.rpartition(".")[0] for uid in uids if uid.startswith(ROOT)}


@pytest.mark.parametrize("case", TWO_SERIES)
def test_the_image_library_has_a_group_for_each_series(case: str) -> None:
    _, _, report = built(case)

    groups = [
        item
        for item in items(report)
        if item.get("ConceptNameCodeSequence", [Dataset()])[0].get("CodeValue") == "126200"
    ]

    assert [series_of(group) for group in groups] == [{RIGHT}, {LEFT}]


@pytest.mark.parametrize("case", TWO_SERIES)
def test_evidence_and_source_images_name_both_series(case: str) -> None:
    _, capture, report = built(case)

    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    series = {str(item.SeriesInstanceUID) for item in evidence.ReferencedSeriesSequence}
    assert series == {RIGHT, LEFT, str(capture.SeriesInstanceUID)}
    sources = {
        str(item.ReferencedSOPInstanceUID).rpartition(".")[0]
        for item in capture.SourceImageSequence
    }
    assert sources == {RIGHT, LEFT}


def test_only_the_reformatted_series_is_referred_to_as_a_whole() -> None:
    screening, capture, _ = built("coronal and axial series")
    right, left = (screening.headers_of(hip) for hip in screening.hips)

    uids = [str(item.ReferencedSOPInstanceUID) for item in capture.SourceImageSequence]

    assert len(uids) == 1 + len(left)
    assert len(right) > 1


@pytest.mark.parametrize("case", TWO_SERIES)
def test_the_report_says_which_side_is_of_which_series(case: str) -> None:
    _, _, report = built(case)

    texts = " ".join(str(item.get("TextValue", "")) for item in items(report))

    assert "right hip by series 4, coronal; left hip by series 7" in texts
    assert "Right and left half are of two series" in texts


@pytest.mark.parametrize("case", TWO_SERIES)
def test_there_is_no_parametric_map_of_two_series(case: str) -> None:
    assert build_parametric_map(screening_of(case), at=AT) is None
