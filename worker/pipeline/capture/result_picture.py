"""The result picture: impression, grades, both hips enlarged at one scale, whole slice, notice.

It is read in seconds, also at half size and in gray: the impression first, then the grades, of
which the worst is the brightest, then the hips.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image

from worker.pipeline import statements, wording
from worker.pipeline.capture.hip_panels import (
    PANEL_PX,
    draw_explained,
    draw_plain,
    draw_whole,
    panel_of,
)
from worker.pipeline.capture.overlay import WINDOW_TEXT
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
from worker.pipeline.capture.typeset import Color, Page, line_px
from worker.pipeline.heat_map import is_heat_on_femur
from worker.pipeline.impression import impression, qualifications, recommendation
from worker.pipeline.lumbar_statements import contradiction
from worker.pipeline.plane_layout import lay_out_planes
from worker.pipeline.previous import PreviousResult, picture_line, picture_note
from worker.pipeline.results import Grade, Hip, NeckAttenuation, Screening
from worker.pipeline.warnings import topic_of

COLUMN = (WIDTH - 3 * EDGE) // 2
WHOLE_PX = 200
GRADE_PX = 50
MAX_WARNINGS = 3

TRACK, OTHER_BAR, AMBER = (50, 50, 56), (105, 105, 112), (255, 190, 0)
# Distinguishable with every color vision, and the worse the brighter in gray.
GRADE_COLORS = {
    Grade.NORMAL: (95, 150, 215),
    Grade.OSTEOPENIA: (240, 165, 60),
    Grade.OSTEOPOROSIS: (255, 240, 150),
}


def draw_result(screening: Screening, previous: Sequence[PreviousResult] = ()) -> Rgb:
    """Draw (rows, 1024, 3) uint8 with the rows that the wrapped text needs, 1024 or more.

    It never holds a patient's name, identifier or date.
    Raises ValueError where no hip is graded.
    """
    pictures = _draw_pictures(screening)
    return draw_page(lambda page: _draw(page, screening, previous, pictures))


@dataclass(frozen=True, slots=True, eq=False)
class _Pictures:
    """The enlarged pictures of each hip, plain and explained, and the whole slice.

    ``hips`` : None for a hip without a grade.
    """

    hips: Sequence[tuple[Image.Image, Image.Image] | None]
    whole: Image.Image


def _draw_pictures(screening: Screening) -> _Pictures:
    hips = statements.both_hips(screening)
    panels = [panel_of(hip) for hip in hips]
    shown = [panel for panel in panels if panel is not None]
    whole = draw_whole(lay_out_planes(hips), shown, WHOLE_PX)
    whole.thumbnail((COLUMN, WHOLE_PX))
    enlarged = [None if p is None else (draw_plain(p), draw_explained(p)) for p in panels]
    return _Pictures(enlarged, whole)


def _draw(
    page: Page, screening: Screening, previous: Sequence[PreviousResult], pictures: _Pictures
) -> int:
    bar = AMBER if screening.model.simulated else GRAY
    y = draw_notice(page, statements.notice(screening.model), bar)
    y = _draw_impression(page, screening, previous, y)
    hips = statements.both_hips(screening)
    bottom = y = y + 8
    for hip, shown, x in zip(hips, pictures.hips, (EDGE, 2 * EDGE + COLUMN), strict=True):
        below = _draw_hip(page, hip, shown, (x, y))
        if then := picture_line(screening, hip, previous):
            below = page.text(then, (x, below + 2, COLUMN), SMALL_PX, PALE)
        bottom = max(bottom, below)
    page.draw.line([(WIDTH // 2, y), (WIDTH // 2, bottom)], fill=TRACK)
    return _draw_foot(page, screening, previous, pictures.whole, bottom + 12)


def _draw_impression(
    page: Page, screening: Screening, previous: Sequence[PreviousResult], y: int
) -> int:
    y = draw_impression(page, impression(screening, previous), y, max_lines=2)
    if advice := recommendation(screening):
        y = page.text(advice, (EDGE, y + 2, TEXT_WIDTH), BODY_PX, WHITE)
    contradicted = contradiction(screening)
    for words in qualifications(screening):
        px, color = (BODY_PX, WHITE) if words == contradicted else (SMALL_PX, PALE)
        y = page.text(words, (EDGE, y + 2, TEXT_WIDTH), px, color)
    return y


def _draw_hip(
    page: Page,
    hip: Hip,
    pictures: tuple[Image.Image, Image.Image] | None,
    at: tuple[int, int],
) -> int:
    x, y = at
    side = wording.PICTURE_HIP.format(side=statements.SIDE_WORDS[hip.side].upper())
    y = page.text(side, (x, y, COLUMN), SMALL_PX, PALE)
    words, color = wording.PICTURE_NO_GRADE, GRAY
    if hip.grade is not None:
        words, color = hip.grade.value.upper(), GRADE_COLORS[hip.grade]
        if statements.uncertainty_remark(hip):
            words = wording.PICTURE_UNCERTAIN_GRADE.format(grade=words)
    y = page.text(words, (x, y - 4, COLUMN), GRADE_PX, color, bold=0.8) + 4
    if pictures is None:
        return page.text(statements.reason_text(hip), (x, y, COLUMN), BODY_PX, WHITE)
    for picture, left in zip(pictures, (x, x + COLUMN - PANEL_PX[1]), strict=True):
        page.image.paste(picture, (left, y))
    y = page.text(_heat_text(hip), (x, y + PANEL_PX[0] + 4, COLUMN), SMALL_PX, PALE) + 4
    if doubt := statements.uncertainty_remark(hip):
        y = page.text(f"{doubt[:1].upper()}{doubt[1:]}", (x, y, COLUMN), BODY_PX, WHITE)
    for grade in reversed(Grade):
        y = _draw_bar(page, hip, grade, (x, y))
    return page.text(_neck_text(hip), (x, y + 4, COLUMN), BODY_PX, WHITE)


def _neck_text(hip: Hip) -> str:
    if isinstance(hip.neck, NeckAttenuation):
        mean, sd = f"{hip.neck.mean_hu:.0f}", f"{hip.neck.sd_hu:.0f}"
        return wording.PICTURE_NECK_VALUE.format(mean=mean, sd=sd)
    reason = hip.neck.text if hip.neck else ""
    return wording.PICTURE_NECK_NOT_MEASURED.format(reason=reason)


def _heat_text(hip: Hip) -> str:
    """Return what the second panel of a graded hip shows."""
    words = wording.HEAT_DRAWN if is_heat_on_femur(hip) else wording.HEAT_NOT_DRAWN
    return words.format(grade=hip.grade)


def _draw_bar(page: Page, hip: Hip, grade: Grade, at: tuple[int, int]) -> int:
    x, y = at
    probability = float((hip.probabilities or {}).get(grade, 0.0))
    color: Color = GRADE_COLORS[grade] if grade is hip.grade else PALE
    name, value = 160, 88
    page.text(grade.value.capitalize(), (x, y, name), BODY_PX, color)
    right = x + COLUMN - value + 8
    page.text(statements.percent_text(probability), (right, y, value), BODY_PX, color)
    start, length = x + name, COLUMN - name - value
    top, bottom = y + 7, y + 23
    page.draw.rectangle([start, top, start + length, bottom], fill=TRACK)
    if (filled := round(length * probability)) > 0:
        fill = color if grade is hip.grade else OTHER_BAR
        page.draw.rectangle([start, top, start + filled, bottom], fill=fill)
    return y + line_px(BODY_PX)


def _draw_foot(
    page: Page,
    screening: Screening,
    previous: Sequence[PreviousResult],
    whole: Image.Image,
    y: int,
) -> int:
    """Draw the whole slice and, beside it, images, model and warnings."""
    page.image.paste(whole, (EDGE, y))
    x = 2 * EDGE + whole.width
    below = y
    for words, color in _foot_lines(screening, previous):
        below = page.text(words, (x, below, WIDTH - EDGE - x), SMALL_PX, color)
    return max(below, y + whole.height)


def _foot_lines(
    screening: Screening, previous: Sequence[PreviousResult]
) -> Iterable[tuple[str, Color]]:
    model = screening.model
    if note := picture_note(screening, previous):
        yield note, WHITE
    # The age is stated below the impression.
    warnings = [w for w in screening.warnings if topic_of(w) != "WHO category"]
    shown, rest = warnings[:MAX_WARNINGS], warnings[MAX_WARNINGS:]
    yield from ((wording.WARNING.format(warning=warning), AMBER) for warning in shown)
    if rest:
        more = wording.ONE_MORE_WARNING if len(rest) == 1 else wording.MORE_WARNINGS
        yield more.format(number=len(rest)), AMBER
    foot = wording.PICTURE_FOOT.format(
        images=statements.images_read(screening),
        window=WINDOW_TEXT,
        name=model.name,
        version=model.version,
        modality=model.modality,
    )
    yield foot, PALE
    if remark := statements.separate_halves_remark(screening):
        yield remark, PALE
