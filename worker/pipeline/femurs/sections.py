"""Sections of a tube of cortex across its axis.

They show whether the tube is the shaft of a femur, and where its axis runs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import Floats32, Grid, ramp
from worker.pipeline.femurs.heads import Floats, surface_along
from worker.pipeline.femurs.necks import azimuths
from worker.pipeline.volume import AIR_HU


@dataclass(frozen=True, slots=True)
class SectionParameters:
    """Outline of a section. ``(start, stop, step)`` are arguments of ``np.arange``."""

    azimuths: int = 24
    width_mm: tuple[float, float, float] = (5.0, 31.1, 1.0)
    span_steps: int = 3
    # Share of the rays that must be in the volume up to this width, the largest radius of a
    # shaft.
    min_in_volume: float = 0.8
    in_volume_mm: float = 18.0
    # Evidence of a clear edge, and share of the rays that must have one.
    clear_edge: float = 0.2
    min_outline: float = 0.6
    # 0002: a ring of one radius; its density hardly matters: thin old cortex in thick slices
    # is still a ring.
    ring_mm: float = 2.5
    full_ring: float = 0.5
    # 0002: muscle lies around a shaft, with vessels full of contrast medium at most.
    outside_mm: tuple[float, float] = (4.0, 11.0)
    soft_tissue_hu: int = 220
    # 0034: a shaft is hollow. Rise from the marrow on the axis to the cortex, which reaches
    # ``wall_mm`` inward from the edge: 126 HU and more in shafts (T −4.4, 5 mm slices), at most
    # 20 HU in vessels full of contrast medium. The quantile leaves a thin side out.
    wall_mm: float = 8.0
    wall_quantile: float = 0.25
    hollow_hu: tuple[float, float] = (50.0, 110.0)


PARAMETERS = SectionParameters()

WIDTHS_MM = np.arange(*PARAMETERS.width_mm)
EDGES_MM = (WIDTHS_MM[: -PARAMETERS.span_steps] + WIDTHS_MM[PARAMETERS.span_steps :]) / 2


def find_sections(grid: Grid, centers: Floats, direction: Floats) -> tuple[Floats, int]:
    """Return the centers of the sections of a tube, and the number of sections in view.

    ``centers`` : (n, 3) grid mm on the axis. The result holds (m, 3) grid mm, of the sections
    that show most of their outline.
    """
    around, values = _section_values(grid, centers, direction)
    known = np.isfinite(values[..., PARAMETERS.in_volume_mm >= WIDTHS_MM]).all(axis=2)
    inside = known.mean(axis=1) >= PARAMETERS.min_in_volume
    # (sections, azimuths, edges)
    surface = surface_along(values, PARAMETERS.span_steps)
    clear = surface.max(axis=2) > PARAMETERS.clear_edge
    outlined = np.flatnonzero(inside & (clear.mean(axis=1) > PARAMETERS.min_outline))
    # The mean of a circle's points seen from beside its center lies half-way to the center.
    middles = [
        centers[level] + 2 * (around * _edge_distances(surface[level])[:, None]).mean(axis=0)
        for level in outlined
    ]
    return np.array(middles).reshape(-1, 3), int(inside.sum())


def ring_score(grid: Grid, middles: Floats, direction: Floats) -> float:
    """Return how much sections look like those of the shaft of a femur, 0–1.

    Each must be a ring of cortex of one radius around marrow, with nothing but soft tissue
    outside. In the pelvis many bones have an edge in every direction, but at all distances, and
    with more bone beyond: between ilium and sacrum a sphere with a neck was taken for a hip. A
    vessel full of contrast medium has the edge of a shaft, but is as dense within.
    """
    if not len(middles):
        return 0.0
    # (sections, azimuths, widths or edges)
    _, values = _section_values(grid, middles, direction)
    surface = surface_along(values, PARAMETERS.span_steps)
    # (sections, 1)
    radius = np.array([np.median(_edge_distances(section)) for section in surface])[:, None]
    ring = surface * (np.abs(EDGES_MM - radius) <= PARAMETERS.ring_mm)[:, None]
    beyond = WIDTHS_MM - radius
    outside = (beyond >= PARAMETERS.outside_mm[0]) & (beyond <= PARAMETERS.outside_mm[1])
    bone = ((values > PARAMETERS.soft_tissue_hu) & outside[:, None]).any(axis=2)
    seen = np.minimum(1, ring.max(axis=2) / PARAMETERS.full_ring)
    hollow = _hollowness(values, beyond)
    return float(((seen * ~bone).mean(axis=1) * hollow).mean())


def _hollowness(values: Floats32, beyond: Floats) -> Floats:
    """Return how clearly the wall of each section is denser than its middle, (n,) 0–1.

    ``values`` : (n, azimuths, widths) HU. ``beyond`` : (n, widths) mm outside the edge.
    """
    wall = (beyond >= -PARAMETERS.wall_mm) & (beyond <= 0)
    # (n, azimuths): unknown values are no wall
    densest = np.where(wall[:, None], np.nan_to_num(values, nan=AIR_HU), AIR_HU).max(axis=2)
    cortex = np.quantile(densest, PARAMETERS.wall_quantile, axis=1)
    # The first width is the nearest to the axis.
    marrow = np.median(np.nan_to_num(values[..., 0], nan=AIR_HU), axis=1)
    return np.asarray(ramp(cortex - marrow, PARAMETERS.hollow_hu), np.float64)


def _edge_distances(surface: npt.NDArray[np.floating]) -> Floats:
    """Return the (azimuths,) mm at which the rays of a section meet its edge.

    Where the edge is unclear, the median of the clear ones. ``surface`` : (azimuths, edges).
    """
    clear = surface.max(axis=1) > PARAMETERS.clear_edge
    distance = EDGES_MM[surface.argmax(axis=1)]
    usual = float(np.median(distance[clear])) if clear.any() else 0.0
    return np.asarray(np.where(clear, distance, usual))


def _section_values(grid: Grid, centers: Floats, direction: Floats) -> tuple[Floats, Floats32]:
    """Return (azimuths, 3) directions across an axis, and (n, azimuths, widths) HU."""
    around = azimuths(direction[None], PARAMETERS.azimuths)[0]
    # (azimuths, 1, xyz) * (widths, 1)
    rays = around[:, None] * WIDTHS_MM[:, None]
    # (n, 1, 1, xyz) + (azimuths, widths, xyz)
    return around, grid.interpolate(centers[:, None, None] + rays)
