"""The banner below the anatomy: notice, grades, probabilities, attenuation, warnings."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from worker.pipeline import statements
from worker.pipeline.capture.draw import inferno
from worker.pipeline.crop import WINDOW_CENTER_HU, WINDOW_WIDTH_HU
from worker.pipeline.previous import PreviousResult, picture_line, picture_note
from worker.pipeline.results import Grade, Hip, NeckAttenuation, Screening

BACKGROUND, TRACK = (12, 12, 16), (64, 64, 72)
WHITE, PALE, BLACK = (255, 255, 255), (205, 205, 210), (0, 0, 0)
AMBER, GRAY = (255, 190, 0), (180, 180, 186)
# Okabe and Ito's palette, distinguishable with every color vision; the word is drawn as well.
GRADE_COLORS = {
    Grade.NORMAL: (86, 180, 233),
    Grade.OSTEOPENIA: (240, 228, 66),
    Grade.OSTEOPOROSIS: (230, 110, 20),
}
NOT_ASSESSABLE = "NOT ASSESSABLE"
MAX_WARNINGS = 3
LARGEST_PX, BODY_PX, SMALL_PX = 32, 15, 13  # at 512 columns
BELOW_PX = 24  # viewers draw a line of text at the lower edge

# Characters beside ASCII of Pillow's embedded font, the only one on every machine.
DRAWN = "±·°"
REPLACED = str.maketrans({"–": "-", "—": "-", "−": "-", "×": "x", "’": "'", "≥": ">", "≤": "<"})

Rgb = npt.NDArray[np.uint8]
Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class _Page:
    """The image on which blocks are drawn; each takes its top and returns its bottom, px."""

    draw: ImageDraw.ImageDraw
    width: int
    unit: float

    def font(self, px: float) -> Font:
        return ImageFont.load_default(px * self.unit)

    def px(self, value: float) -> int:
        return round(value * self.unit)


def draw_banner(
    screening: Screening, width: int, previous: Sequence[PreviousResult] = ()
) -> Rgb:
    """Draw the banner, (rows, ``width``, 3) uint8, with the rows that the wrapped text needs.

    It never holds a patient's name, identifier or date.
    """
    # Drawn twice: the first pass measures the number of rows.
    rows = _draw(Image.new("RGB", (width, 1)), screening, previous)
    image = Image.new("RGB", (width, rows), BACKGROUND)
    _draw(image, screening, previous)
    return np.asarray(image, np.uint8)


def drawable(text: str) -> str:
    """Return text in the font's characters: without accents, ``?`` for those that it lacks."""
    parts = unicodedata.normalize("NFKD", text.translate(REPLACED))
    kept = (c for c in parts if not unicodedata.combining(c))
    return "".join(c if c in DRAWN or " " <= c <= "~" else "?" for c in kept)


def wrap(text: str, font: Font, width: int) -> list[str]:
    """Wrap text to lines of at most ``width`` px; longer words are broken."""
    lines = [""]
    for word in drawable(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if lines[-1] and font.getlength(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    return lines


def _draw(image: Image.Image, screening: Screening, previous: Sequence[PreviousResult]) -> int:
    page = _Page(ImageDraw.Draw(image), image.width, image.width / 512)
    right, left = statements.both_hips(screening)
    bottom = _draw_notice(page, screening)
    top = bottom + page.px(8)
    middle = page.width // 2
    words_px = _words_px(page, (right, left), middle - 2 * page.px(12))
    bottom = top
    for hip, x in ((right, page.px(12)), (left, middle + page.px(12))):
        y = _draw_hip(page, hip, x, top, words_px)
        width = middle - 2 * page.px(12)
        if then := picture_line(screening, hip, previous):
            y = _draw_lines(page, then, (x, y + page.px(3)), width, SMALL_PX, PALE)
        bottom = max(bottom, y)
    page.draw.line([(middle, top), (middle, bottom)], fill=TRACK, width=page.px(1))
    return _draw_foot(page, screening, previous, bottom + page.px(10)) + page.px(BELOW_PX)


def _draw_notice(page: _Page, screening: Screening) -> int:
    font, edge = page.font(BODY_PX), page.px(8)
    lines = wrap(statements.notice(screening.model), font, page.width - 2 * edge)
    bottom = edge + len(lines) * _line_px(font)
    fill = AMBER if screening.model.simulated else GRAY
    page.draw.rectangle([0, 0, page.width, bottom], fill=fill)
    for number, line in enumerate(lines):
        at = page.width / 2, edge / 2 + number * _line_px(font)
        page.draw.text(at, line, BLACK, font, "ma", stroke_width=0.3)
    return bottom


def _words(hip: Hip) -> str:
    return NOT_ASSESSABLE if hip.grade is None else hip.grade.value.upper()


def _words_px(page: _Page, hips: tuple[Hip, Hip], width: int) -> float:
    """Return the largest font size at which both words fit, so that both are equally large."""
    longest = max(page.font(LARGEST_PX).getlength(_words(hip)) for hip in hips)
    return LARGEST_PX * min(1.0, width * 0.96 / longest)


def _draw_hip(page: _Page, hip: Hip, x: int, y: int, words_px: float) -> int:
    width = page.width // 2 - 2 * page.px(12)
    small, words = page.font(SMALL_PX), page.font(words_px)
    side = statements.SIDE_WORDS[hip.side].upper()
    page.draw.text((x, y), f"{side} HIP", PALE, small, "la")
    y += _line_px(small) + page.px(2)
    color = WHITE if hip.grade is None else GRADE_COLORS[hip.grade]
    page.draw.text((x, y), _words(hip), color, words, "la", stroke_width=0.6 * page.unit)
    y += _line_px(words) + page.px(4)
    if hip.grade is None:
        return _draw_lines(page, statements.reason_text(hip), (x, y), width, BODY_PX, WHITE)
    if doubt := statements.uncertainty_remark(hip):
        doubt = f"{doubt[:1].upper()}{doubt[1:]}"
        y = _draw_lines(page, doubt, (x, y), width, BODY_PX, WHITE) + page.px(3)
    percents = statements.percents(hip, 0)
    for grade in Grade:
        fill = GRADE_COLORS[grade] if grade is hip.grade else PALE
        y = _draw_bar(page, grade, percents[grade], (x, y, width), fill)
    if isinstance(hip.neck, NeckAttenuation):
        neck = f"Neck {hip.neck.mean_hu:.0f} ± {hip.neck.sd_hu:.0f} HU"
    else:
        neck = f"Neck HU not measured. {hip.neck.text if hip.neck else ''}"
    return _draw_lines(page, neck, (x, y + page.px(3)), width, BODY_PX, WHITE)


def _draw_bar(
    page: _Page, grade: Grade, percent: float, box: tuple[int, int, int], fill: Color
) -> int:
    x, y, width = box
    font = page.font(SMALL_PX)
    name, value = page.px(92), page.px(46)
    page.draw.text((x, y), grade.value.capitalize(), fill, font, "la")
    page.draw.text((x + width, y), f"{percent:.0f} %", fill, font, "ra")
    start, length = x + name, width - name - value
    top, bottom = y + page.px(3), y + page.px(12)
    page.draw.rectangle([start, top, start + length, bottom], fill=TRACK)
    if round(length * percent / 100) > 0:
        end = start + round(length * percent / 100)
        page.draw.rectangle([start, top, end, bottom], fill=fill)
    return y + _line_px(font) + page.px(1)


def _draw_foot(
    page: _Page, screening: Screening, previous: Sequence[PreviousResult], y: int
) -> int:
    """Draw the patient's grade, color bar, planes, model and warnings."""
    x, width = page.px(12), page.width - 2 * page.px(12)
    patient, model = statements.patient_sentence(screening), screening.model
    y = _draw_lines(page, patient, (x, y), width, BODY_PX, WHITE)
    if note := picture_note(screening, previous):
        y = _draw_lines(page, note, (x, y), width, SMALL_PX, PALE)
    y = _draw_color_bar(page, x, y + page.px(5))
    for line in (
        f"{_planes(screening)}. Window {WINDOW_CENTER_HU}/{WINDOW_WIDTH_HU} HU. "
        f"Corners: model input. Outline: neck. {statements.separate_halves_remark(screening)}",
        f"Model {model.name} {model.version} ({model.modality}). Not a T-score, not BMD.",
    ):
        y = _draw_lines(page, line, (x, y), width, SMALL_PX, PALE)
    for line in _warnings(screening):
        y = _draw_lines(page, line, (x, y), width, SMALL_PX, AMBER)
    return y


def _warnings(screening: Screening) -> Iterable[str]:
    """Yield the first warnings and the number of others, all of which the SR holds."""
    shown, rest = screening.warnings[:MAX_WARNINGS], screening.warnings[MAX_WARNINGS:]
    yield from (f"Warning: {warning}" for warning in shown)
    if rest:
        more = "1 more warning" if len(rest) == 1 else f"{len(rest)} more warnings"
        yield f"{more}: see the structured report."


def _draw_color_bar(page: _Page, x: int, y: int) -> int:
    font = page.font(SMALL_PX)
    low = "Where the model looked (Grad-CAM): less"
    start = x + round(font.getlength(low)) + page.px(8)
    length = page.px(120)
    page.draw.text((x, y), low, PALE, font, "la")
    for step in range(length):
        color = tuple(int(value) for value in np.rint(inferno(step / (length - 1))))
        page.draw.line(
            [(start + step, y + page.px(2)), (start + step, y + page.px(13))], fill=color
        )
    page.draw.text((start + length + page.px(8), y), "more", PALE, font, "la")
    return y + _line_px(font) + page.px(2)


def _planes(screening: Screening) -> str:
    names = {
        hip.side: statements.plane_name(screening, hip)
        for hip in statements.both_hips(screening)
        if hip.grade is not None
    }
    if len(set(names.values())) == 1:
        return next(iter(names.values())).capitalize()
    return ", ".join(f"{side}: {name}" for side, name in names.items())


def _draw_lines(
    page: _Page, text: str, at: tuple[int, int], width: int, px: float, fill: Color
) -> int:
    font = page.font(px)
    x, y = at
    for line in wrap(text, font, width):
        page.draw.text((x, y), line, fill, font, "la")
        y += _line_px(font)
    return y


def _line_px(font: Font) -> int:
    return round(1.3 * (font.size if isinstance(font, ImageFont.FreeTypeFont) else 11))
