"""Attenuation of the lumbar vertebrae of a volume."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from worker.pipeline.femurs.grid import Grid, build_grid
from worker.pipeline.lumbar_results import LEVELS, Level, NotMeasured, Region, Spine, Vertebra
from worker.pipeline.spine.aorta import aorta_hu
from worker.pipeline.spine.canal import find_canal
from worker.pipeline.spine.column import Column, straighten
from worker.pipeline.spine.discs import PARAMETERS as DISCS
from worker.pipeline.spine.discs import find_discs
from worker.pipeline.spine.levels import FROM_SACRUM, last_rib, lumbosacral_disc
from worker.pipeline.spine.region import measure_region
from worker.pipeline.spine.view import view_of
from worker.pipeline.volume import PointMm, Volume

# A height below this share of the mean of both neighbors: grade 1 of Genant begins with a loss
# of 20 % (doi 10.1002/jbmr.5650080915).
COMPRESSED_SHARE = 0.8

NO_SPINE = Spine((), "No lumbar spine was found in the field of view.")
NO_SACRUM = Spine((), "The level of the vertebrae is uncertain: no sacrum was found.")
NO_RIB = Spine((), "The level of the vertebrae is uncertain: no last pair of ribs was found.")
DISAGREE = Spine(
    (), "The level of the vertebrae is uncertain: sacrum and last ribs give different levels."
)
AGREE = "Levels were counted from the sacrum; the last pair of ribs agrees."


def measure_spine(volume: Volume) -> Spine:
    """Find the lumbar vertebrae of a canonical coronal volume and measure L1 to L4.

    Levels need both the sacrum and the last pair of ribs: a wrong level is worse than none.
    """
    if min(volume.hu.shape) < 2:
        return NO_SPINE
    return measure_spine_in(build_grid(volume))


def measure_spine_in(grid: Grid, heads_mm: Sequence[PointMm] = ()) -> Spine:
    """Do the same where the working copy of the volume exists.

    ``heads_mm`` : middles of the femoral heads that were found, patient LPS.
    """
    heads = [grid.from_patient(head)[1] for head in heads_mm]
    canal = find_canal(grid, min(heads, default=math.inf))
    column = None if canal is None else straighten(grid, canal)
    if canal is None or column is None:
        return NO_SPINE
    spine = _measure_column(column)
    # Without levels the canal may be something else, such as a femur.
    return replace(spine, aorta_hu=aorta_hu(grid, canal)) if spine.vertebrae else spine


def _measure_column(column: Column) -> Spine:
    discs = find_discs(column)
    if len(discs) < 2:
        return NO_SPINE
    last_disc = lumbosacral_disc(column, discs)
    if last_disc is None:
        return NO_SACRUM
    discs = tuple(disc for disc in discs if disc <= last_disc)
    ribs = last_rib(column, discs[:-1])
    if ribs is None:
        return NO_RIB
    if len(discs) - 2 - ribs != len(FROM_SACRUM):
        return DISAGREE
    vertebrae = tuple(_vertebrae(column, discs))
    return Spine(vertebrae, AGREE, view_of(column, vertebrae, _middles(discs)))


def _middles(discs: tuple[float, ...]) -> dict[Level, float]:
    """Return the middle of L1 to L5 along the canal, mm."""
    upward = [(above + below) / 2 for above, below in pairwise(discs)][::-1]
    return dict(zip(FROM_SACRUM, upward, strict=False))


def _vertebrae(column: Column, discs: tuple[float, ...]) -> list[Vertebra]:
    vertebrae = []
    heights, middles = np.diff(discs), _middles(discs)
    for level in LEVELS:
        index = len(heights) - 1 - FROM_SACRUM.index(level)
        neighbors = (heights[index - 1] + heights[index + 1]) / 2
        region: Region | NotMeasured
        if heights[index] < COMPRESSED_SHARE * neighbors:
            region = NotMeasured.COMPRESSED
        else:
            rough = column.place(middles[level], DISCS.core_middle_mm)
            region = measure_region(column.grid.volume, rough)
        vertebrae.append(Vertebra(level, region))
    return vertebrae
