"""Covered: states, warnings and line breaks of the banner. Not covered: legibility."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from tests.support.factories import make_screening, with_hip
from tests.support.report_cases import CLINICAL_MODEL, METAL
from worker.pipeline.capture.banner import draw_banner, drawable, wrap
from worker.pipeline.results import (
    Grade,
    NeckNotMeasured,
)

RIGHT, LEFT = 0, 1
AMBER = (255, 190, 0)


def test_banner_states_why_a_neck_was_not_measured() -> None:
    screening = make_screening()
    unseen, other = (
        with_hip(screening, RIGHT, neck=NeckNotMeasured(text))
        for text in ("No outline.", "Metal.")
    )

    banners = {draw_banner(each, 512).tobytes() for each in (screening, unseen, other)}
    assert len(banners) == 3


def test_banner_prints_three_warnings_and_counts_the_rest() -> None:
    def rows(*warnings: str) -> int:
        return int(draw_banner(make_screening(warnings=warnings), 512).shape[0])

    short, long = "Noise is high.", "long " * 60

    assert rows() < rows(short) < rows(short, short) < rows(*[short] * 3) < rows(*[short] * 4)
    assert rows(*[short] * 4) == rows(*[short] * 9)
    assert rows(short, short, long) > rows(short, short, short)
    assert rows(*[short] * 3, long) == rows(*[short] * 4)


@pytest.mark.parametrize("width", [512, 535, 600, 1024])
def test_banner_holds_every_line(width: int) -> None:
    short = draw_banner(make_screening(right=METAL), width)
    long = draw_banner(make_screening(right=replace(METAL, text="metal " * 80)), width)

    assert long.shape[0] > short.shape[0] + 100
    assert long.shape[1] == short.shape[1] == width
    for banner in (short, long):
        # Nothing touches the lower and the right edge: no text was cut.
        assert np.ptp(banner[-4:].reshape(-1, 3), axis=0).max() == 0
        assert np.ptp(banner[-150:, -3:].reshape(-1, 3), axis=0).max() == 0


def test_banner_differs_for_every_state_of_a_hip() -> None:
    results = (*Grade, METAL, None)
    banners = {
        draw_banner(make_screening(right=right, left=Grade.OSTEOPOROSIS), 512).tobytes()
        for right in results
    }

    assert len(banners) == len(results)


def test_only_the_demonstration_model_has_the_amber_notice() -> None:
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
