"""The measurements of the lumbar spine of a series, read by published limits."""

from collections.abc import Sequence

from worker.pipeline.femurs.grid import Grid
from worker.pipeline.lumbar_results import (
    Conditions,
    LumbarMeasurement,
    LumbarMeasurements,
    Region,
    Vertebra,
)
from worker.pipeline.spine.measure import measure_spine_in
from worker.pipeline.spine.validity import conditions_of, read_limits
from worker.pipeline.volume import Femur, Series


def measure_lumbar(
    series: Series, grid: Grid, femurs: Sequence[Femur] = ()
) -> LumbarMeasurements:
    """Measure L1 to L4; bodies of uncertain levels have none, and no limit.

    ``grid`` : that of the femurs. ``femurs`` : those that were found in it.
    """
    spine = measure_spine_in(grid, [femur.center_mm for femur in femurs])
    conditions = conditions_of(series, spine.aorta_hu)
    found = tuple(_with_limits(vertebra, conditions) for vertebra in spine.vertebrae)
    return LumbarMeasurements(
        found, spine.text, conditions, series.headers, spine.view, spine.uncertain
    )


def _with_limits(vertebra: Vertebra, conditions: Conditions) -> LumbarMeasurement:
    if not isinstance(vertebra.region, Region):
        return LumbarMeasurement(vertebra, ())
    limits = read_limits(vertebra, vertebra.region.mean_hu, conditions)
    return LumbarMeasurement(vertebra, limits)
