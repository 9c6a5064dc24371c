"""Covered: states, warnings, panels, brightness and line breaks of the result picture.
Not covered: legibility."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from tests.support.factories import make_screening, plane_and_crop, with_hip
from tests.support.report_cases import CASES, CLINICAL_MODEL, METAL, screening_of
from tests.support.spine_results import make_lumbar
from worker.pipeline import wording
from worker.pipeline.capture.hip_panels import (
    PANEL_PX,
    PX_PER_MM,
    draw_explained,
    draw_plain,
    panel_of,
)
from worker.pipeline.capture.result_page import MIN_HEIGHT, WIDTH, Rgb
from worker.pipeline.capture.result_picture import AMBER, GRADE_COLORS, draw_result
from worker.pipeline.capture.typeset import Page, drawable, wrap
from worker.pipeline.crop import window
from worker.pipeline.results import Grade, NeckNotMeasured, Screening

RIGHT, LEFT = 0, 1
LUMA = (0.299, 0.587, 0.114)


def count(picture: Rgb, color: tuple[int, int, int]) -> int:
    return int((picture == color).all(axis=2).sum())


def test_a_usual_result_is_a_square_and_a_long_one_grows_downward() -> None:
    usual = draw_result(make_screening())
    long = draw_result(make_screening(right=replace(METAL, text="metal " * 500)))

    assert usual.shape == (MIN_HEIGHT, WIDTH, 3)
    assert long.shape[0] > MIN_HEIGHT
    assert long.shape[1] == WIDTH
    # Nothing touches the lower and the right edge: no text was cut.
    for picture in (usual, long):
        assert np.ptp(picture[-8:].reshape(-1, 3), axis=0).max() == 0
        assert np.ptp(picture[60:, -6:].reshape(-1, 3), axis=0).max() == 0


@pytest.mark.parametrize("case", CASES)
def test_every_case_has_a_picture(case: str) -> None:
    screening = screening_of(case)
    if screening.grade is None:
        pytest.skip("no hip is graded")
    picture = draw_result(screening)

    assert picture.shape[1] == WIDTH
    for hip in screening.hips:
        if hip.grade is not None:
            assert count(picture, GRADE_COLORS[hip.grade]) > 1000


def test_the_worse_grade_is_the_brighter_in_gray() -> None:
    brightness = [float(np.dot(GRADE_COLORS[grade], LUMA)) for grade in Grade]

    assert brightness[0] + 30 < brightness[1]
    assert brightness[1] + 30 < brightness[2]


def test_picture_differs_for_every_state_of_a_hip() -> None:
    results = (*Grade, METAL, None)
    pictures = {
        draw_result(make_screening(right=right, left=Grade.OSTEOPOROSIS)).tobytes()
        for right in results
    }

    assert len(pictures) == len(results)


def test_picture_states_why_a_neck_was_not_measured() -> None:
    screening = make_screening()
    unseen, other = (
        with_hip(screening, RIGHT, neck=NeckNotMeasured(text))
        for text in ("No outline.", "Metal.")
    )

    assert len({draw_result(each).tobytes() for each in (screening, unseen, other)}) == 3


def test_picture_prints_three_warnings_and_counts_the_rest() -> None:
    def amber(*warnings: str) -> int:
        return count(draw_result(make_screening(warnings=warnings)), AMBER)

    short = "Noise is high."
    assert amber() < amber(short) < amber(short, short) < amber(*[short] * 3)
    assert amber(*[short] * 3) < amber(*[short] * 4)
    assert amber(*[short] * 9) == pytest.approx(amber(*[short] * 5), rel=0.02)


@pytest.mark.parametrize("case", CASES)
def test_no_words_are_where_ohif_shows_its_cine_bar(case: str) -> None:
    """The bar covers rows 38 to 81 of 1,024; the notice ends above its text."""
    picture = draw_result(CASES[case]())
    end = 81 * len(picture) // 1024

    assert np.ptp(picture[45:end].reshape(-1, 3), axis=0).max() == 0


def test_a_contradiction_is_as_prominent_as_a_recommendation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: dict[str, object] = {}
    draw = Page.text

    def noted(page: Page, words: str, *args: Any, **kwargs: Any) -> int:
        drawn[words] = args[1:3]  # size and color
        return draw(page, words, *args, **kwargs)

    monkeypatch.setattr(Page, "text", noted)
    normal = make_screening(right=Grade.NORMAL, left=Grade.NORMAL, model=CLINICAL_MODEL)
    draw_result(replace(normal, lumbar=make_lumbar()))
    draw_result(make_screening(model=CLINICAL_MODEL))

    said = next(words for words in drawn if words.startswith("Model and measurement"))
    assert drawn[said] == drawn[wording.RECOMMENDATION]


def test_only_the_demonstration_model_has_the_amber_notice() -> None:
    simulated = draw_result(make_screening())
    clinical = draw_result(make_screening(model=CLINICAL_MODEL))

    assert (simulated[:30] == AMBER).all(axis=2).mean() > 0.5
    assert count(clinical, AMBER) == 0


def heat_at(screening: Screening, rows: slice, columns: slice) -> Screening:
    heat = np.zeros((250, 250), np.float32)
    heat[rows, columns] = 1
    return with_hip(screening, LEFT, heat_map=heat)


def test_heat_beside_the_femur_is_not_drawn_and_a_line_says_so() -> None:
    on, beside = (
        heat_at(make_screening(), part, part) for part in (slice(120, 130), slice(20, 30))
    )
    cold = with_hip(make_screening(), LEFT, heat_map=np.zeros((250, 250), np.float32))
    panels = [panel_of(each.hips[LEFT]) for each in (on, beside, cold)]
    drawn = [np.asarray(draw_explained(panel)) for panel in panels if panel is not None]

    assert (drawn[0] != drawn[1]).any()
    np.testing.assert_array_equal(drawn[1], drawn[2])
    assert (draw_result(on) != draw_result(beside)).any()


def test_a_panel_shows_the_plane_around_the_femur_at_the_common_scale() -> None:
    hip = make_screening().hips[LEFT]
    panel = panel_of(hip)
    assert panel is not None
    assert hip.femur is not None
    assert hip.outline_mm is not None
    plane, _ = plane_and_crop(hip)
    picture = np.asarray(draw_plain(panel))[..., 0]

    assert picture.shape == PANEL_PX
    row, column = panel.to_panel(hip.femur.neck_mm).astype(int)
    at_row, at_column = np.rint(plane.to_index(hip.femur.neck_mm)).astype(int)
    assert picture[row, column] == pytest.approx(
        float(window(plane.hu)[at_row, at_column]), abs=2
    )
    two = panel.to_panel([(0.0, 2.0, 0.0), (10.0, 2.0, -10.0)])
    np.testing.assert_allclose(two[1] - two[0], 10 * PX_PER_MM)
    outline = panel.to_panel(hip.outline_mm)
    assert (outline > 0).all()
    assert (outline < PANEL_PX).all()


@given(st.text(max_size=200), st.integers(40, 400))
def test_wrapped_lines_fit_and_keep_every_word(text: str, width: int) -> None:
    font = ImageFont.load_default(15)
    lines = wrap(text, font, width)

    assert all(font.getlength(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(drawable(text).split())


def test_drawable_uses_only_the_letters_of_the_font() -> None:
    assert drawable("für – 5 ± 1 × 3° Ω") == "fur - 5 ± 1 x 3° ?"
