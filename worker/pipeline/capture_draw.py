"""The picture of the hips: windowed anatomy, heat maps inside the crop boxes, R and L."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import map_coordinates

from worker.pipeline.crop import window
from worker.pipeline.results import Hip, HipCrop, NeckAttenuation, Plane

MIN_COLUMNS = 512
SQUARE_TOLERANCE = 0.01
IMAGE_SHARE, HEAT_SHARE = 0.7, 0.3  # the paper's overlay (Ha 2024, Grad-CAM figures)
BOX_COLOR = (150, 210, 255)
NECK_COLOR = (255, 255, 255)

# matplotlib's "inferno" (CC0) at 17 equal steps: rises evenly in lightness, so that it
# reads in greyscale and with every colour vision, and its zero is black, so that bone
# without activation stays grey.
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


@dataclass(frozen=True, slots=True)
class Picture:
    """``pixels`` : (rows, columns, 3) uint8 of the whole plane; spacing in mm."""

    pixels: Rgb
    row_spacing_mm: float
    column_spacing_mm: float


@dataclass(frozen=True, slots=True)
class _Shown:
    """One graded hip with the plane and crop that a picture needs."""

    hip: Hip
    plane: Plane
    crop: HipCrop
    heat_map: npt.NDArray[np.float32]


def draw_anatomy(hips: Sequence[Hip]) -> Picture:
    """The planes of the graded hips, right first, as one picture with square pixels.

    Two hips on two planes: each side of the seam, half-way between the crops, shows the
    plane of its own hip. A plane with square pixels keeps its grid, magnified by a whole
    number when it has fewer than 512 columns; one without is resampled linearly.
    Raises ValueError where no hip is graded.
    """
    shown = [
        _Shown(hip, hip.plane, hip.crop, hip.heat_map)
        for hip in hips
        if hip.grade is not None and hip.plane and hip.crop and hip.heat_map is not None
    ]
    if not shown:
        raise ValueError(
            "A capture needs at least one graded hip with plane, crop and heat map."
        )
    plane = shown[0].plane
    size = picture_size(plane)
    row_mm = plane.hu.shape[0] * plane.row_spacing_mm / size[0]
    column_mm = plane.hu.shape[1] * plane.column_spacing_mm / size[1]
    pixels = np.empty((*size, 3), np.uint8)
    parts = _parts(shown, size[1], column_mm)
    for part, columns in zip(shown, parts, strict=True):
        gray = np.repeat(_gray(part.plane, size)[..., None], 3, axis=2)
        _blend_heat(gray, part, (row_mm, column_mm), columns)
        pixels[:, columns] = np.rint(gray[:, columns]).astype(np.uint8)
    picture = Picture(pixels, row_mm, column_mm)
    return _annotated(picture, shown, parts)


def picture_size(plane: Plane) -> tuple[int, int]:
    """(rows, columns) of the picture of a plane: square pixels, at least 512 columns."""
    rows, columns = plane.hu.shape
    row_mm, column_mm = plane.row_spacing_mm, plane.column_spacing_mm
    if abs(row_mm / column_mm - 1) > SQUARE_TOLERANCE:
        pixel_mm = min(row_mm, column_mm)
        rows, columns = round(rows * row_mm / pixel_mm), round(columns * column_mm / pixel_mm)
    factor = -(-MIN_COLUMNS // columns)
    return rows * factor, columns * factor


def inferno(values: float | npt.NDArray[np.floating[Any]]) -> Floats:
    """(…) 0–1 → (…, 3) 0–255 RGB."""
    steps = np.linspace(0, 1, len(INFERNO))
    channels = [np.interp(values, steps, INFERNO[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1)


def _parts(shown: Sequence[_Shown], columns: int, column_mm: float) -> list[slice]:
    """The picture's columns that belong to each hip."""
    if len(shown) == 1:
        return [slice(0, columns)]
    centers = [
        (part.crop.col * part.plane.column_spacing_mm + _box_mm(part.crop) / 2) / column_mm
        for part in shown
    ]
    seam = min(max(round(sum(centers) / len(centers)), 1), columns - 1)
    return [slice(0, seam), slice(seam, columns)]


def _box_mm(crop: HipCrop) -> float:
    return crop.size_px * crop.pixel_mm


def _gray(plane: Plane, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(rows, columns) float32 0–255 by the model's own window."""
    gray = window(plane.hu)
    factor, rest = divmod(size[0], gray.shape[0])
    if rest == 0 and size == (gray.shape[0] * factor, gray.shape[1] * factor):
        return np.kron(gray, np.ones((factor, factor), np.float32))
    resized = Image.fromarray(gray).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32)


def _blend_heat(
    gray: npt.NDArray[np.float32],
    part: _Shown,
    spacing_mm: tuple[float, float],
    columns: slice,
) -> None:
    """Blend the heat map in place, only within the crop box and the hip's own columns."""
    crop, plane = part.crop, part.plane
    start_mm = crop.row * plane.row_spacing_mm, crop.col * plane.column_spacing_mm
    inside, at = [], []
    for axis, limit in enumerate((slice(0, gray.shape[0]), columns)):
        # Pixel centres on the crop's own grid, whose pixel i has its centre at i + 0.5.
        centers = (np.arange(limit.start, limit.stop) + 0.5) * spacing_mm[axis]
        position = (centers - start_mm[axis]) / crop.pixel_mm
        chosen = (position >= 0) & (position < crop.size_px)
        inside.append(np.flatnonzero(chosen) + limit.start)
        at.append(position[chosen] - 0.5)
    if not all(len(index) for index in inside):
        return
    grid = np.meshgrid(*at, indexing="ij")
    heat = np.clip(map_coordinates(part.heat_map, grid, order=1, mode="nearest"), 0, 1)
    box = np.ix_(*inside)
    gray[box] = IMAGE_SHARE * gray[box] + HEAT_SHARE * inferno(heat)


def _annotated(picture: Picture, shown: Sequence[_Shown], parts: Sequence[slice]) -> Picture:
    """Corners of the boxes, outlines of the necks, the seam of two planes, R and L."""
    image = Image.fromarray(picture.pixels)
    draw = ImageDraw.Draw(image)
    unit = max(1, round(image.width / 512))
    if len(shown) == 2 and shown[0].plane.index != shown[1].plane.index:
        for y in range(0, image.height, 8 * unit):
            draw.line([(parts[1].start, y), (parts[1].start, y + 4 * unit)], fill=(120,) * 3)
    for part in shown:
        _draw_box(draw, part, picture, unit)
        if isinstance(part.hip.neck, NeckAttenuation):
            _draw_neck(draw, part.plane, part.hip.neck, picture)
    _draw_sides(draw, image.width, unit)
    pixels = np.asarray(image, np.uint8)
    return Picture(pixels, picture.row_spacing_mm, picture.column_spacing_mm)


def _draw_box(draw: ImageDraw.ImageDraw, part: _Shown, picture: Picture, unit: int) -> None:
    """Corners only: a whole frame would cross the other hip and hide bone."""
    left = part.crop.col * part.plane.column_spacing_mm / picture.column_spacing_mm
    top = part.crop.row * part.plane.row_spacing_mm / picture.row_spacing_mm
    right = left + _box_mm(part.crop) / picture.column_spacing_mm - 1
    bottom = top + _box_mm(part.crop) / picture.row_spacing_mm - 1
    rows, columns = picture.pixels.shape[:2]
    left, right = np.clip([left, right], 0, columns - 1)
    top, bottom = np.clip([top, bottom], 0, rows - 1)
    arm = 12 * unit
    for x, inward_x in ((round(left), arm), (round(right), -arm)):
        for y, inward_y in ((round(top), arm), (round(bottom), -arm)):
            draw.line([(x, y), (x + inward_x, y)], fill=BOX_COLOR, width=unit)
            draw.line([(x, y), (x, y + inward_y)], fill=BOX_COLOR, width=unit)


def _draw_neck(
    draw: ImageDraw.ImageDraw, plane: Plane, neck: NeckAttenuation, picture: Picture
) -> None:
    """One pixel wide, so that the bone beneath stays in sight."""
    row, column = (plane.to_index(neck.outline_mm) + 0.5).T
    x = column * plane.column_spacing_mm / picture.column_spacing_mm - 0.5
    y = row * plane.row_spacing_mm / picture.row_spacing_mm - 0.5
    points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    draw.line([*points, points[0]], fill=NECK_COLOR, width=1)


def _draw_sides(draw: ImageDraw.ImageDraw, width: int, unit: int) -> None:
    """R at the left edge: the picture is seen from the front, by radiological convention."""
    font = ImageFont.load_default(28 * unit)
    edge = 8 * unit
    for text, x, anchor in (("R", edge, "la"), ("L", width - edge, "ra")):
        draw.text(
            (x, edge), text, (255, 255, 255), font, anchor, stroke_width=unit, stroke_fill=0
        )
