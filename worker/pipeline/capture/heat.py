"""Colors of heat maps, and heat maps on the pixels of other grids."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from worker.pipeline.results import Hip

HEAT_SHARE = 0.8  # of the color that the strongest activation adds to black

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

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


def inferno(values: float | npt.NDArray[np.floating[Any]]) -> Floats:
    """Convert (…) 0–1 to (…, 3) 0–255 RGB."""
    steps = np.linspace(0, 1, len(INFERNO))
    channels = [np.interp(values, steps, INFERNO[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1)


def with_heat(gray: npt.NDArray[np.floating[Any]], heat: Floats) -> Floats:
    """Add the color of (…) heat, 0–1, to (…) gray, 0–255; return (…, 3) RGB.

    Light is added to what is below white, as on a screen: the more activation, the more color,
    and bone is never darker than without.
    """
    color = HEAT_SHARE * np.clip(heat, 0, 1)[..., None] * inferno(heat)
    return np.asarray(255 - (255 - gray[..., None]) * (255 - color) / 255)


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
