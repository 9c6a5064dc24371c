"""The picture of the hips: windowed anatomy, heat maps inside the crop boxes, R and L."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import map_coordinates

from worker.pipeline.crop import window
from worker.pipeline.plane_layout import Half, Layout, lay_out_planes
from worker.pipeline.results import Hip, NeckAttenuation

IMAGE_SHARE, HEAT_SHARE = 0.7, 0.3  # the paper's overlay (Ha 2024, Grad-CAM figures)
BOX_COLOR = (150, 210, 255)
NECK_COLOR = (255, 255, 255)
SEAM_COLOR = (120, 120, 120)

# matplotlib's "inferno" (CC0) at 17 equal steps: its lightness rises evenly, so that it is
# readable in grayscale and with every color vision, and its zero is black, so that bone
# without activation stays gray.
INFERNO = np.array(
    [
        (0, 0, 4), (11, 7, 36), (33, 12, 74), (61, 9, 101), (87, 16, 110), (113, 25, 110),
        (138, 34, 106), (163, 44, 97), (188, 55, 84), (210, 70, 68), (228, 90, 49),
        (241, 115, 29), (249, 142, 9), (252, 172, 17), (249, 203, 53), (242, 234, 105),
        (252, 255, 164),
    ],
    dtype=np.float64,
)  # fmt: skip

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Picture:
    """``pixels`` : (rows, columns, 3) uint8 of the whole plane; spacing in mm."""

    pixels: Rgb
    row_spacing_mm: float
    column_spacing_mm: float


def draw_anatomy(hips: Sequence[Hip]) -> Picture:
    """Draw the planes of the graded hips, right first, on one grid (``plane_layout``).

    With two planes each side of the seam shows that of its own hip.
    Raises ValueError where no hip is graded.
    """
    layout = lay_out_planes(hips)
    pixels = np.empty((*layout.size, 3), np.uint8)
    for half in layout.halves:
        gray = np.repeat(_gray(half, layout.size)[..., None], 3, axis=2)
        _blend_heat(gray, half)
        pixels[:, half.columns] = np.rint(gray[:, half.columns]).astype(np.uint8)
    return Picture(_annotated(pixels, layout), *layout.spacing_mm)


def inferno(values: float | npt.NDArray[np.floating[Any]]) -> Floats:
    """Convert (…) 0–1 to (…, 3) 0–255 RGB."""
    steps = np.linspace(0, 1, len(INFERNO))
    channels = [np.interp(values, steps, INFERNO[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1)


def _gray(half: Half, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return the plane, ``size`` float32 0–255, by the model's window; black outside it."""
    gray = window(half.plane.hu)
    factor, rest = divmod(half.size[0], gray.shape[0])
    if rest == 0 and half.size == (gray.shape[0] * factor, gray.shape[1] * factor):
        gray = np.kron(gray, np.ones((factor, factor), np.float32))
    else:
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


def _blend_heat(gray: npt.NDArray[np.float32], half: Half) -> None:
    """Blend the heat map in place, only within the crop box and the hip's own columns."""
    start = half.to_picture((half.crop.row, half.crop.col))
    region = slice(0, gray.shape[0]), half.columns
    found = heat_in_box(half.hip, start, half.spacing_mm, region)
    if found is not None:
        box, heat = found
        gray[box] = IMAGE_SHARE * gray[box] + HEAT_SHARE * inferno(heat)


def heat_in_box(
    hip: Hip,
    start: npt.ArrayLike,
    spacing_mm: tuple[float, float],
    region: tuple[slice, slice],
) -> tuple[tuple[Indices, ...], Floats] | None:
    """Interpolate the heat map on the pixels of another grid.

    Return the (rows, columns) of the pixels and their values 0–1, None where there are none.

    ``start`` : (row, column) of the crop box's outer corner on that grid, pixel edges.
    ``spacing_mm`` : of the grid. ``region`` : its rows and columns that may show the hip.
    """
    crop, heat_map = hip.crop, hip.heat_map
    if crop is None or heat_map is None:
        return None
    inside, at = [], []
    for limit, first, pixel_mm in zip(region, np.asarray(start), spacing_mm, strict=True):
        # Pixel centers on the grid of the crop, whose pixel i has its center at i + 0.5.
        centers = np.arange(limit.start, limit.stop) + 0.5 - first
        position = centers * pixel_mm / crop.pixel_mm
        chosen = (position >= 0) & (position < crop.size_px)
        inside.append(np.flatnonzero(chosen) + limit.start)
        at.append(position[chosen] - 0.5)
    if not all(len(index) for index in inside):
        return None
    grid = np.meshgrid(*at, indexing="ij")
    heat = np.clip(map_coordinates(heat_map, grid, order=1, mode="nearest"), 0, 1)
    return np.ix_(*inside), heat


def _annotated(pixels: Rgb, layout: Layout) -> Rgb:
    """Draw corners of the boxes, outlines of the necks, the seam of two planes, R and L."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    unit = max(1, round(image.width / 512))
    if layout.seam is not None:
        for y in range(0, image.height, 8 * unit):
            draw.line([(layout.seam, y), (layout.seam, y + 4 * unit)], fill=SEAM_COLOR)
    for half in layout.halves:
        _draw_box(draw, half, layout, unit)
        if isinstance(half.hip.neck, NeckAttenuation):
            _draw_neck(draw, half, half.hip.neck)
    _draw_sides(draw, image.width, unit)
    return np.asarray(image, np.uint8)


def _draw_box(draw: ImageDraw.ImageDraw, half: Half, layout: Layout, unit: int) -> None:
    """Draw the corners of the box: a whole frame would cross the other hip and hide bone.

    With planes of different directions the box ends at the seam, where its plane ends.
    """
    crop = half.crop
    box_mm = crop.size_px * crop.pixel_mm
    top, left = half.to_picture((crop.row, crop.col))
    bottom, right = (top, left) + box_mm / np.array(layout.spacing_mm) - 1
    columns = half.columns if layout.different_directions else slice(0, layout.size[1])
    left, right = np.clip([left, right], columns.start, columns.stop - 1)
    top, bottom = np.clip([top, bottom], 0, layout.size[0] - 1)
    arm = 12 * unit
    for x, inward_x in ((round(left), arm), (round(right), -arm)):
        for y, inward_y in ((round(top), arm), (round(bottom), -arm)):
            draw.line([(x, y), (x + inward_x, y)], fill=BOX_COLOR, width=unit)
            draw.line([(x, y), (x, y + inward_y)], fill=BOX_COLOR, width=unit)


def _draw_neck(draw: ImageDraw.ImageDraw, half: Half, neck: NeckAttenuation) -> None:
    """Draw the outline one pixel wide, so that the bone beneath stays visible."""
    index = half.plane.to_index(neck.outline_mm) + 0.5
    points = [(round(x - 0.5), round(y - 0.5)) for y, x in half.to_picture(index).tolist()]
    draw.line([*points, points[0]], fill=NECK_COLOR, width=1)


def _draw_sides(draw: ImageDraw.ImageDraw, width: int, unit: int) -> None:
    """Draw R at the left edge: the radiological convention."""
    font = ImageFont.load_default(28 * unit)
    edge = 8 * unit
    for text, x, anchor in (("R", edge, "la"), ("L", width - edge, "ra")):
        draw.text(
            (x, edge), text, (255, 255, 255), font, anchor, stroke_width=unit, stroke_fill=0
        )
