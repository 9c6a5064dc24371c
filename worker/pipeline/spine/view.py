"""Pictures of a measured spine for the reader."""

from collections.abc import Mapping, Sequence

import numpy as np

from worker.pipeline.lumbar_results import Level, Region, SpineView, Vertebra
from worker.pipeline.spine.column import STEP_MM, Column
from worker.pipeline.spine.region import slab_mean

AXIAL_MM = 0.75
# Extent of the axial picture around the center of the region: to both sides, forward, backward.
SIDE_MM, FRONT_MM, BEHIND_MM = 60.0, 40.0, 80.0
# The sagittal picture is a mean over this at each side of the middle.
MIDDLE_MM = 4.0
# It shows this much above the middle of L1 and below that of L5: the last ribs and the sacrum.
ABOVE_MM, BELOW_MM = 75.0, 55.0


def view_of(
    column: Column, vertebrae: Sequence[Vertebra], middles_mm: Mapping[Level, float]
) -> SpineView | None:
    """Return the pictures of L1, or of the first measured vertebra.

    ``middles_mm`` : along the canal. None where no vertebra is measured.
    """
    measured = ((one.level, one.region) for one in vertebrae if isinstance(one.region, Region))
    found = next(measured, None)
    if found is None:
        return None
    level, region = found
    left = np.arange(-SIDE_MM, SIDE_MM + AXIAL_MM / 2, AXIAL_MM)
    behind = np.arange(-FRONT_MM, BEHIND_MM + AXIAL_MM / 2, AXIAL_MM)
    points = np.array(region.center_mm) + np.stack(
        [*np.meshgrid(left, behind), np.zeros((len(behind), len(left)))], axis=-1
    )
    offsets = np.array(region.outline_mm) - points[0, 0]
    sagittal = column.box((-np.inf, np.inf), (-MIDDLE_MM, MIDDLE_MM)).mean(axis=2)
    first = max(0, round((min(middles_mm.values()) - ABOVE_MM) / STEP_MM))
    last = round((max(middles_mm.values()) + BELOW_MM) / STEP_MM)
    return SpineView(
        level=level,
        axial_hu=slab_mean(column.grid.volume, points).astype(np.float32),
        axial_mm=AXIAL_MM,
        outline=offsets[:, 1::-1] / AXIAL_MM,
        sagittal_hu=sagittal[first:last].astype(np.float32),
        sagittal_mm=STEP_MM,
        middles={name: along / STEP_MM - first for name, along in middles_mm.items()},
    )
