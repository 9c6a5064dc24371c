"""The overlay picture: the planes on their own grid with outlines and heat maps.

Distances can be measured on it, and it is the image to which the regions of the report refer
where the planes were reformatted (SCOORD, PS3.3 C.18.6).
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from worker.pipeline.capture.heat import heat_in_box, with_heat
from worker.pipeline.crop import WINDOW_CENTER_HU, WINDOW_WIDTH_HU, window
from worker.pipeline.heat_map import is_heat_on_femur
from worker.pipeline.plane_layout import Half, Layout
from worker.pipeline.results import NeckAttenuation
from worker.pipeline.volume import PointMm

FEMUR_COLOR = (120, 215, 255)
NECK_COLOR = (255, 255, 255)
SEAM_COLOR = (120, 120, 120)
# OHIF's label of a femur has up to 30 characters, 220 px, in a viewport of 1596 px (0039).
LABEL_SHARE = 1 / 6
WINDOW_TEXT = f"W {WINDOW_WIDTH_HU} L {WINDOW_CENTER_HU}"

Rgb = npt.NDArray[np.uint8]


def draw_overlay(layout: Layout) -> Rgb:
    """Draw (rows, columns, 3) uint8 of a layout; each side of its seam shows its own hip.

    Where a plane was reformatted, black columns follow on the right (``label_columns``).
    """
    pixels = np.empty((*layout.size, 3), np.uint8)
    for half in layout.halves:
        shown = _draw_half(half, layout)
        pixels[:, half.columns] = shown[:, half.columns]
    pixels = _annotated(pixels, layout)
    return np.pad(pixels, ((0, 0), (0, label_columns(layout)), (0, 0)))


def label_columns(layout: Layout) -> int:
    """Return how many columns the labels of regions need beside the planes.

    Viewers place the label of a region at its right side. Where a plane was reformatted the
    regions are on this picture; ``LABEL_SHARE`` of its width then lies beside them.
    """
    if all(half.plane.source_sop_uid for half in layout.halves):
        return 0
    columns = layout.size[1]
    right = max(
        float(half.to_picture(half.plane.to_index(_region(half)) + 0.5)[:, 1].max())
        for half in layout.halves
    )
    missing = LABEL_SHARE * columns - (columns - right)
    return max(0, math.ceil(missing / (1 - LABEL_SHARE)))


def _region(half: Half) -> Sequence[PointMm]:
    return half.hip.outline_mm or half.crop.corners_mm


def windowed(half: Half, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return the plane, ``size`` float32 0–255, by the model's window; black outside it."""
    gray = window(half.plane.hu)
    if half.size != gray.shape:
        resized = Image.fromarray(gray).resize(half.size[::-1], Image.Resampling.BILINEAR)
        gray = np.asarray(resized, np.float32)
    # Shift by whole pixels: per axis, the visible part of the plane and its place.
    shown = np.zeros(size, np.float32)
    places, parts = [], []
    for start, own, limit in zip((half.top, half.left), half.size, size, strict=True):
        places.append(slice(max(start, 0), min(start + own, limit)))
        parts.append(slice(max(-start, 0), min(own, limit - start)))
    shown[tuple(places)] = gray[tuple(parts)]
    return shown


def _draw_half(half: Half, layout: Layout) -> Rgb:
    """Draw the whole picture as if it showed one hip only."""
    gray = windowed(half, layout.size)
    rgb = np.repeat(gray[..., None].astype(np.float64), 3, axis=2)
    start = half.to_picture((half.crop.row, half.crop.col))
    region = slice(0, layout.size[0]), half.columns
    found = heat_in_box(half.hip, start, half.spacing_mm, region)
    if found is not None and is_heat_on_femur(half.hip):
        box, heat = found
        rgb[box] = with_heat(gray[box], heat)
    image = Image.fromarray(np.rint(rgb).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    if half.hip.outline_mm:
        _draw_outline(draw, half, half.hip.outline_mm, FEMUR_COLOR)
    if isinstance(half.hip.neck, NeckAttenuation):
        _draw_outline(draw, half, half.hip.neck.outline_mm, NECK_COLOR)
    return np.asarray(image, np.uint8)


def _draw_outline(
    draw: ImageDraw.ImageDraw,
    half: Half,
    outline_mm: Sequence[PointMm],
    color: tuple[int, int, int],
) -> None:
    """Draw the outline one pixel wide, so that the bone beneath stays visible."""
    index = half.plane.to_index(outline_mm) + 0.5
    points = [(round(x - 0.5), round(y - 0.5)) for y, x in half.to_picture(index).tolist()]
    draw.line([*points, points[0]], fill=color, width=1)


def _annotated(pixels: Rgb, layout: Layout) -> Rgb:
    """Draw the seam of two planes, R at the left edge (radiological convention), L, window."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    unit = max(0.5, image.width / 512)
    if layout.seam is not None:
        dash = max(2, round(4 * unit))
        for y in range(0, image.height, 2 * dash):
            draw.line([(layout.seam, y), (layout.seam, y + dash)], fill=SEAM_COLOR)
    edge = round(8 * unit)
    large, small = (ImageFont.load_default(px * unit) for px in (28, 14))
    for text, at, font, anchor in (
        ("R", (edge, edge), large, "la"),
        ("L", (image.width - edge, edge), large, "ra"),
        (WINDOW_TEXT, (edge, image.height - edge), small, "ld"),
    ):
        draw.text(
            at, text, (255, 255, 255), font, anchor, stroke_width=round(unit), stroke_fill=0
        )
    return np.asarray(image, np.uint8)
