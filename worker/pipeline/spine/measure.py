"""Attenuation of the lumbar vertebrae of a volume."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from worker.pipeline.femurs.grid import Grid, build_grid
from worker.pipeline.lumbar_results import (
    LEVELS,
    Level,
    LevelDoubt,
    Region,
    Spine,
    UncertainLevels,
    Vertebra,
)
from worker.pipeline.spine.aorta import aorta_hu
from worker.pipeline.spine.body import measure_body
from worker.pipeline.spine.canal import find_canal
from worker.pipeline.spine.column import Column, straighten
from worker.pipeline.spine.discs import find_discs
from worker.pipeline.spine.levels import FROM_SACRUM, last_ribs, lumbosacral_disc
from worker.pipeline.spine.uncertain import measure_above_sacrum, measure_below_ribs
from worker.pipeline.spine.view import view_of
from worker.pipeline.volume import PointMm, Volume

NO_SPINE = Spine((), "No lumbar spine was found in the field of view.")
UNCERTAIN = "The level of the vertebrae is uncertain: {doubt}."
AGREE = "Levels were counted from the sacrum; the last pair of ribs agrees."


def measure_spine(volume: Volume) -> Spine:
    """Find the lumbar vertebrae of a canonical coronal volume and measure L1 to L4.

    Levels need both the sacrum and the last pair of ribs: a wrong level is worse than none.
    With one of them, or where they differ, bodies are measured without a level.
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
        rib = _pair(last_ribs(column, discs))
        found = measure_below_ribs(column, discs, rib)
        return _uncertain(LevelDoubt.NO_SACRUM, found)
    discs = tuple(disc for disc in discs if disc <= last_disc)
    ribs = last_ribs(column, discs[:-1])
    rib = _pair(ribs)
    if rib is not None and len(discs) - 2 - rib == len(FROM_SACRUM):
        vertebrae = tuple(_vertebrae(column, discs))
        return Spine(vertebrae, AGREE, view_of(column, vertebrae, _middles(discs)))
    doubt = LevelDoubt.NO_RIB if rib is None else LevelDoubt.DISAGREE
    return _uncertain(doubt, measure_above_sacrum(column, discs, ribs))


def _pair(ribs: tuple[int | None, int | None]) -> int | None:
    """Return the vertebra of the last pair of ribs, None where the sides differ."""
    left, right = ribs
    return left if left == right else None


def _uncertain(doubt: LevelDoubt, regions: tuple[Region, ...]) -> Spine:
    found = UncertainLevels(doubt, regions) if regions else None
    return Spine((), UNCERTAIN.format(doubt=doubt), uncertain=found)


def _middles(discs: tuple[float, ...]) -> dict[Level, float]:
    """Return the middle of L1 to L5 along the canal, mm."""
    upward = [(above + below) / 2 for above, below in pairwise(discs)][::-1]
    return dict(zip(FROM_SACRUM, upward, strict=False))


def _vertebrae(column: Column, discs: tuple[float, ...]) -> Iterator[Vertebra]:
    for level in LEVELS:
        index = len(discs) - 2 - FROM_SACRUM.index(level)
        yield Vertebra(level, measure_body(column, discs, index))
