"""Covered: the picture of a result without a grade, and its header."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import ImageFont
from pydicom import dcmread

from tests.support.report_cases import AT
from tests.support.spine_results import make_lumbar, make_spine_screening
from worker.pipeline.capture.secondary_capture import build_captures
from worker.pipeline.capture.spine_picture import OUTLINE_COLOR, draw_spine
from worker.pipeline.capture.typeset import wrap
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.impression import impression
from worker.pipeline.lumbar_results import Region


def test_the_only_picture_names_the_spine_and_its_source() -> None:
    screening = make_spine_screening()
    (written,) = build_captures(screening, at=AT)
    picture = dcmread(BytesIO(to_bytes(written)))

    assert picture.SeriesDescription == "Lumbar spine - RESEARCH"
    assert picture.BurnedInAnnotation == "NO"
    assert "PixelSpacing" not in picture
    assert picture.StudyInstanceUID == screening.source.StudyInstanceUID
    source = [one.ReferencedSOPInstanceUID for one in picture.SourceImageSequence]
    assert source == [header.SOPInstanceUID for header in screening.headers]
    assert "heat map" not in picture.DerivationDescription


def test_outline_on_the_picture_has_the_area_of_the_region() -> None:
    lumbar = make_lumbar()
    view, (_, region) = lumbar.view, lumbar.measured[0]
    assert view is not None
    assert isinstance(region, Region)
    points = view.outline * view.axial_mm
    following = np.roll(points, -1, axis=0)
    area = abs(np.sum(points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0])) / 2
    assert area == pytest.approx(region.area_mm2, rel=0.03)
    rows, columns = view.outline.round().astype(int).T
    inside = view.axial_hu[rows.min() : rows.max(), columns.min() : columns.max()]
    assert np.median(inside) == pytest.approx(region.mean_hu, abs=10)


def test_picture_is_drawn_with_outline_and_levels() -> None:
    screening = make_spine_screening()
    rgb = draw_spine(screening)
    assert rgb.shape[1] == 1024
    assert (rgb == OUTLINE_COLOR).all(axis=-1).sum() > 200
    view = screening.lumbar and screening.lumbar.view
    assert view is not None
    assert list(view.middles.values()) == sorted(view.middles.values(), reverse=True)
    assert set(view.middles) == {"L1", "L2", "L3", "L4", "L5"}


@pytest.mark.parametrize("kvp", [120, 140])
def test_no_words_are_where_ohif_shows_its_cine_bar(kvp: int) -> None:
    """The bar covers rows 38 to 81 of 1,024, in proportion of a picture with more rows."""
    rgb = draw_spine(make_spine_screening(make_lumbar(KVP=kvp)))
    start, end = (round(row / 1024 * len(rgb)) for row in (45, 80))

    assert len(rgb) > 1024
    assert np.ptp(rgb[start:end].reshape(-1, 3), axis=0).max() == 0
    assert np.ptp(rgb[end:].reshape(-1, 3), axis=0).max() > 200


def test_signs_that_the_font_lacks_are_written_in_words() -> None:
    lines = wrap(impression(make_spine_screening()), ImageFont.load_default(33), 990)
    assert " ".join(lines).startswith("L1 104 HU: at most 110, Pickhardt 2013")


def test_result_without_spine_and_grade_has_no_picture() -> None:
    with pytest.raises(ValueError, match="measured vertebra"):
        build_captures(replace(make_spine_screening(), lumbar=None), at=AT)
