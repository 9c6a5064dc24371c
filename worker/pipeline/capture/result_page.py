"""The page that the result pictures share: size, colors, notice and impression."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from worker.pipeline.capture.typeset import Color, Page, fitting_px, line_px

WIDTH, MIN_HEIGHT, EDGE = 1024, 1024, 16
TEXT_WIDTH = WIDTH - 2 * EDGE
LARGE_PX, BODY_PX, SMALL_PX = 33, 24, 20
# OHIF opens the bar of its cine controls above this share of the rows of a picture that fills
# the height of its viewport.
VIEWER_BAR_END = 80 / 1024
BACKGROUND, GRAY = (12, 12, 16), (180, 180, 186)
WHITE, PALE, BLACK = (255, 255, 255), (205, 205, 210), (0, 0, 0)

Rgb = npt.NDArray[np.uint8]


def draw_page(draw: Callable[[Page], int]) -> Rgb:
    """Draw (rows, 1024, 3) uint8 with the rows that the wrapped text needs, 1024 or more.

    ``draw`` : draws the blocks and returns their bottom, px; called until the page holds them,
    because the first pass measures the number of rows, and a longer page leaves more rows to
    the bar of a viewer. The pictures in the blocks are drawn before.
    """
    page = _page(1)
    while (rows := max(MIN_HEIGHT, draw(page) + EDGE)) > page.image.height:
        page = _page(rows)
    return np.asarray(page.image, np.uint8)


def _page(rows: int) -> Page:
    image = Image.new("RGB", (WIDTH, rows), BACKGROUND)
    return Page(image, ImageDraw.Draw(image))


def draw_notice(page: Page, words: str, color: Color) -> int:
    """Draw the notice in one line on a bar of this color; return the top of the impression."""
    px = fitting_px(words, BODY_PX, TEXT_WIDTH, 1)
    bottom = line_px(px) + 12
    page.draw.rectangle([0, 0, WIDTH, bottom], fill=color)
    page.text(words, (EDGE, 7, TEXT_WIDTH), px, BLACK, bold=0.3)
    rows = max(MIN_HEIGHT, page.image.height)
    return max(bottom + 10, math.ceil(VIEWER_BAR_END * rows))


def draw_impression(page: Page, words: str, y: int, *, max_lines: int) -> int:
    """Draw the impression as large as ``max_lines`` lines allow; return its bottom."""
    px = fitting_px(words, LARGE_PX, TEXT_WIDTH, max_lines)
    return page.text(words, (EDGE, y, TEXT_WIDTH), px, WHITE, bold=0.4)
