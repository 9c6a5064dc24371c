"""The result picture without a grade: impression, values, axial and sagittal view of the spine.

The reader checks by it that the level is right and the region inside of trabecular bone.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from worker.pipeline import statements, wording
from worker.pipeline.capture.result_page import (
    BODY_PX,
    EDGE,
    GRAY,
    PALE,
    SMALL_PX,
    TEXT_WIDTH,
    WHITE,
    WIDTH,
    Rgb,
    draw_impression,
    draw_notice,
    draw_page,
)
from worker.pipeline.capture.typeset import Page, drawable
from worker.pipeline.impression import impression, qualifications
from worker.pipeline.lumbar_results import LumbarMeasurement, Region, SpineView
from worker.pipeline.previous import PreviousResult, picture_note
from worker.pipeline.results import Screening

COLUMN = 624
SAGITTAL_LEFT = 2 * EDGE + COLUMN
SAGITTAL_WIDTH = WIDTH - EDGE - SAGITTAL_LEFT
OUTLINE_COLOR = (120, 215, 255)
# Bone and soft tissue, for the outlines of the bodies.
CENTER_HU, WIDTH_HU = 150.0, 700.0
WINDOW_TEXT = f"W {WIDTH_HU:.0f} L {CENTER_HU:.0f}"

Floats32 = npt.NDArray[np.float32]


def draw_spine(screening: Screening, previous: Sequence[PreviousResult] = ()) -> Rgb:
    """Draw (rows, 1024, 3) uint8 with the rows that the wrapped text needs, 1024 or more.

    It never holds a patient's name, identifier or date.
    Raises ValueError where no vertebra is measured.
    """
    lumbar = screening.lumbar
    if lumbar is None or lumbar.view is None:
        raise ValueError("The picture of a spine needs a measured vertebra.")
    view = lumbar.view
    pictures = _axial(view), _sagittal(view)
    return draw_page(lambda page: _draw(page, screening, previous, view, pictures))


def _draw(
    page: Page,
    screening: Screening,
    previous: Sequence[PreviousResult],
    view: SpineView,
    pictures: tuple[Image.Image, Image.Image],
) -> int:
    y = draw_notice(page, statements.notice(screening.model), GRAY)
    y = draw_impression(page, impression(screening, previous), y, max_lines=3)
    for words in qualifications(screening):
        y = page.text(words, (EDGE, y + 2, TEXT_WIDTH), SMALL_PX, PALE)
    axial, sagittal = pictures
    page.image.paste(axial, (EDGE, y + 12))
    page.image.paste(sagittal, (SAGITTAL_LEFT, y + 12))
    left = _draw_values(page, screening, view.level, y + 12 + axial.height + 4)
    box = SAGITTAL_LEFT, y + 12 + sagittal.height + 4, SAGITTAL_WIDTH
    right = page.text(wording.SAGITTAL_VIEW, box, SMALL_PX, PALE)
    return _draw_foot(page, screening, previous, max(left, right) + 12)


def _draw_values(page: Page, screening: Screening, level: str, y: int) -> int:
    """Draw the vertebrae and the hips, below the axial picture of a level."""
    words = wording.AXIAL_VIEW.format(level=level, window=WINDOW_TEXT)
    y = page.text(words, (EDGE, y, COLUMN), SMALL_PX, PALE) + 6
    for one in screening.lumbar.measurements if screening.lumbar is not None else ():
        y = page.text(_vertebra(one), (EDGE, y, COLUMN), BODY_PX, WHITE)
    y += 6
    for hip in statements.both_hips(screening):
        side = statements.SIDE_WORDS[hip.side].capitalize()
        words = wording.HIP_WITHOUT_GRADE.format(side=side, reason=statements.reason_text(hip))
        y = page.text(words, (EDGE, y, COLUMN), SMALL_PX, PALE)
    return y


def _vertebra(one: LumbarMeasurement) -> str:
    region = one.vertebra.region
    if isinstance(region, Region):
        mean, sd = f"{region.mean_hu:.0f}", f"{region.sd_hu:.0f}"
        return wording.VERTEBRA_VALUE.format(level=one.vertebra.level, mean=mean, sd=sd)
    return wording.VERTEBRA_NOT_MEASURED.format(level=one.vertebra.level, reason=region.value)


def _axial(view: SpineView) -> Image.Image:
    size = COLUMN, round(COLUMN * view.axial_hu.shape[0] / view.axial_hu.shape[1])
    image = _gray(view.axial_hu).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    draw = ImageDraw.Draw(image)
    rows, columns = view.axial_hu.shape
    scale = np.array([size[1] / rows, size[0] / columns])
    points = [(x, y) for y, x in ((view.outline + 0.5) * scale).tolist()]
    draw.line([*points, points[0]], fill=OUTLINE_COLOR, width=2)
    font = ImageFont.load_default(26)
    draw.text((6, 4), "R", WHITE, font, "la", stroke_width=1, stroke_fill=0)
    draw.text((size[0] - 6, 4), "L", WHITE, font, "ra", stroke_width=1, stroke_fill=0)
    return image


def _sagittal(view: SpineView) -> Image.Image:
    """Draw the straightened spine with its levels; front is on the left."""
    rows, columns = view.sagittal_hu.shape
    scale = SAGITTAL_WIDTH / columns
    image = _gray(view.sagittal_hu).resize(
        (SAGITTAL_WIDTH, round(rows * scale)), Image.Resampling.BICUBIC
    )
    picture = image.convert("RGB")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(BODY_PX)
    for level, row in view.middles.items():
        color = OUTLINE_COLOR if level == view.level else WHITE
        where = 8, (row + 0.5) * scale
        draw.text(where, drawable(level), color, font, "lm", stroke_width=2, stroke_fill=0)
    return picture


def _gray(hu: Floats32) -> Image.Image:
    share = np.clip((hu - CENTER_HU) / WIDTH_HU + 0.5, 0, 1)
    return Image.fromarray(np.rint(255 * share).astype(np.uint8))


def _draw_foot(
    page: Page, screening: Screening, previous: Sequence[PreviousResult], y: int
) -> int:
    algorithm = screening.model
    if note := picture_note(screening, previous):
        y = page.text(note, (EDGE, y, TEXT_WIDTH), SMALL_PX, WHITE)
    levels = "" if screening.lumbar is None else screening.lumbar.text
    words = wording.SPINE_FOOT.format(
        levels=levels, name=algorithm.name, version=algorithm.version
    )
    return page.text(words, (EDGE, y, TEXT_WIDTH), SMALL_PX, PALE)
