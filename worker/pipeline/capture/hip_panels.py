"""Enlarged pictures of one hip, plain and with outlines and heat map, and the whole slice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import map_coordinates

from worker.pipeline.capture.heat import with_heat
from worker.pipeline.capture.overlay import FEMUR_COLOR, NECK_COLOR, SEAM_COLOR, windowed
from worker.pipeline.crop import window
from worker.pipeline.heat_map import is_heat_on_femur
from worker.pipeline.plane_layout import Layout
from worker.pipeline.results import Hip, HipCrop, NeckAttenuation
from worker.pipeline.volume import AIR_HU, Plane

# One scale for all hips: 2 px/mm, and room for a femur with 7 cm of its shaft.
PX_PER_MM = 2.0
PANEL_PX = (288, 240)
WHITE = (255, 255, 255)
MARK_PX = 26

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """The part of a hip's plane that is enlarged.

    ``corner_mm`` : mm along rows and columns of the plane from its outer corner.
    """

    hip: Hip
    plane: Plane
    crop: HipCrop
    corner_mm: Floats

    @property
    def spacing_mm(self) -> Floats:
        """(rows, columns) of the plane."""
        return np.array([self.plane.row_spacing_mm, self.plane.column_spacing_mm])

    def to_panel(self, position_mm: npt.ArrayLike) -> Floats:
        """Project (…, 3) patient LPS mm as (…, 2) (row, column) of the panel, pixel edges."""
        along_mm = (self.plane.to_index(position_mm) + 0.5) * self.spacing_mm
        return np.asarray((along_mm - self.corner_mm) * PX_PER_MM)


def panel_of(hip: Hip) -> Panel | None:
    """Return the part of a hip's plane around its femur, None where it has no grade."""
    if hip.grade is None or hip.plane is None or hip.crop is None:
        return None
    points = hip.outline_mm or hip.crop.corners_mm
    spacing = np.array([hip.plane.row_spacing_mm, hip.plane.column_spacing_mm])
    along_mm = (hip.plane.to_index(points) + 0.5) * spacing
    middle = (along_mm.min(axis=0) + along_mm.max(axis=0)) / 2
    return Panel(hip, hip.plane, hip.crop, middle - np.array(PANEL_PX) / PX_PER_MM / 2)


def draw_plain(panel: Panel) -> Image.Image:
    """Draw the windowed plane with the mark of its side."""
    gray = np.repeat(_gray(panel)[..., None], 3, axis=2)
    return _marked(Image.fromarray(np.rint(gray).astype(np.uint8)), panel.hip.side)


def draw_explained(panel: Panel) -> Image.Image:
    """Draw the windowed plane with heat map and outlines.

    A heat map that lies beside the femur is left out.
    """
    gray = _gray(panel)
    heat = _heat(panel) if is_heat_on_femur(panel.hip) else np.zeros(PANEL_PX)
    image = Image.fromarray(np.rint(with_heat(gray, heat)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    neck = panel.hip.neck
    outlines = [(panel.hip.outline_mm or (), FEMUR_COLOR)]
    if isinstance(neck, NeckAttenuation):
        outlines.append((neck.outline_mm, NECK_COLOR))
    for outline_mm, color in outlines:
        if outline_mm:
            points = [(x, y) for y, x in panel.to_panel(outline_mm).tolist()]
            draw.line([*points, points[0]], fill=color, width=2)
    return _marked(image, panel.hip.side)


def draw_whole(layout: Layout, panels: Sequence[Panel], height: int) -> Image.Image:
    """Draw the whole slice, ``height`` px high, with a frame around each enlarged part."""
    rows, columns = layout.size
    pixels = np.zeros(layout.size, np.float32)
    for half in layout.halves:
        pixels[:, half.columns] = windowed(half, layout.size)[:, half.columns]
    px_per_mm = height / (rows * layout.spacing_mm[0])
    width = round(columns * layout.spacing_mm[1] * px_per_mm)
    gray = Image.fromarray(np.rint(pixels).astype(np.uint8))
    image = gray.resize((width, height), Image.Resampling.BILINEAR).convert("RGB")
    draw = ImageDraw.Draw(image)
    if layout.seam is not None:
        x = layout.seam * width / columns
        draw.line([(x, 0), (x, height)], fill=SEAM_COLOR)
    for half, panel in zip(layout.halves, panels, strict=True):
        size_mm = np.array(PANEL_PX) / PX_PER_MM
        corners_mm = np.array([panel.corner_mm, panel.corner_mm + size_mm])
        index = corners_mm / panel.spacing_mm
        box = half.to_picture(index) * layout.spacing_mm * px_per_mm
        top, left, bottom, right = np.rint(box).ravel().tolist()
        draw.rectangle([left, top, right, bottom], outline=FEMUR_COLOR)
    font = ImageFont.load_default(20)
    draw.text((5, 3), "R", WHITE, font, "la", stroke_width=1, stroke_fill=0)
    draw.text((width - 5, 3), "L", WHITE, font, "ra", stroke_width=1, stroke_fill=0)
    return image


def _along_mm(panel: Panel) -> tuple[Floats, Floats]:
    """Return the mm of the panel's rows and columns from the outer corner of the plane."""
    rows, columns = (
        start + (np.arange(count) + 0.5) / PX_PER_MM
        for start, count in zip(panel.corner_mm, PANEL_PX, strict=True)
    )
    return rows, columns


def _gray(panel: Panel) -> npt.NDArray[np.float32]:
    spacing = panel.spacing_mm
    index = [at / step - 0.5 for at, step in zip(_along_mm(panel), spacing, strict=True)]
    grid = np.meshgrid(*index, indexing="ij")
    hu = map_coordinates(panel.plane.hu.astype(np.float32), grid, order=1, cval=AIR_HU)
    return window(hu)


def _heat(panel: Panel) -> Floats:
    """Return the heat, ``PANEL_PX``, 0 outside the input of the model."""
    crop, spacing = panel.crop, panel.spacing_mm
    corner_mm = np.array([crop.row, crop.col]) * spacing
    index = [
        (at - corner) / crop.pixel_mm - 0.5
        for at, corner in zip(_along_mm(panel), corner_mm, strict=True)
    ]
    grid = np.meshgrid(*index, indexing="ij")
    if panel.hip.heat_map is None:
        return np.zeros(PANEL_PX)
    heat = map_coordinates(panel.hip.heat_map, grid, order=1, cval=0.0)
    return np.asarray(np.clip(heat, 0, 1), np.float64)


def _marked(image: Image.Image, side: str) -> Image.Image:
    font = ImageFont.load_default(MARK_PX)
    ImageDraw.Draw(image).text((6, 4), side, WHITE, font, "la", stroke_width=1, stroke_fill=0)
    return image
