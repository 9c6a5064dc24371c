"""Text on pictures: characters of the font, line breaks, and a page that grows downward."""

import unicodedata
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

# Characters beside ASCII of Pillow's embedded font, the only one on every machine.
DRAWN = "±·°"
REPLACED = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "×": "x", "’": "'", "≥": "at least", "≤": "at most"}
)
LINE_HEIGHT = 1.25

Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Page:
    """The image on which blocks are drawn; each takes its top and returns its bottom, px."""

    image: Image.Image
    draw: ImageDraw.ImageDraw

    def text(
        self, words: str, box: tuple[int, int, int], px: float, color: Color, *, bold: float = 0
    ) -> int:
        """Draw wrapped text in a ``box`` of left, top and width; return its bottom."""
        x, y, width = box
        font = ImageFont.load_default(px)
        for line in wrap(words, font, width):
            self.draw.text((x, y), line, color, font, "la", stroke_width=bold)
            y += line_px(px)
        return y


def line_px(px: float) -> int:
    """Return the height of a line of a font size."""
    return round(LINE_HEIGHT * px)


def fitting_px(words: str, px: float, width: int, lines: int) -> float:
    """Return the largest font size up to ``px`` at which text has at most ``lines`` lines."""
    while px > 8 and len(wrap(words, ImageFont.load_default(px), width)) > lines:
        px -= 1
    return px


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
