"""The measurement of one vertebral body between two discs."""

import numpy as np

from worker.pipeline.lumbar_results import NotMeasured, Region
from worker.pipeline.spine.column import Column
from worker.pipeline.spine.discs import PARAMETERS as DISCS
from worker.pipeline.spine.region import measure_region

# A height below this share of the mean of its neighbors: grade 1 of Genant begins with a loss
# of 20 % (doi 10.1002/jbmr.5650080915).
COMPRESSED_SHARE = 0.8


def measure_body(column: Column, discs: tuple[float, ...], index: int) -> Region | NotMeasured:
    """Measure the body between ``discs[index]`` and ``discs[index + 1]``, mm along the canal.

    At the end of the spine in view it is compared with one neighbor.
    """
    heights = np.diff(discs)
    neighbors = [heights[near] for near in (index - 1, index + 1) if 0 <= near < len(heights)]
    if neighbors and heights[index] < COMPRESSED_SHARE * np.mean(neighbors):
        return NotMeasured.COMPRESSED
    middle = (discs[index] + discs[index + 1]) / 2
    return measure_region(column.grid.volume, column.place(middle, DISCS.core_middle_mm))
