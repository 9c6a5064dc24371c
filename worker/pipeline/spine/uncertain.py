"""Lumbar vertebrae whose level is uncertain: one sign of the level, or two that differ.

The sign chooses which bodies are measured; no level is given to them.
"""

from dataclasses import dataclass

from worker.pipeline.lumbar_results import Region
from worker.pipeline.spine.body import measure_body
from worker.pipeline.spine.column import Column
from worker.pipeline.spine.discs import are_seen

# L1 to L4 by the count of the sign; L5 is between them and the sacrum.
BODIES = 4
LUMBAR = 5


@dataclass(frozen=True, slots=True)
class UncertainParameters:
    """Conditions under which bodies of uncertain level are measured. Anatomy; see 0050."""

    # Numbers of vertebrae between last ribs and sacrum that occur: transitional vertebrae and
    # short last ribs. Others mean that one of the signs is no sacrum or no rib.
    lumbar_numbers: tuple[int, int] = (4, 6)
    # Without a sacrum, the first body below the last ribs counts as lumbar where a rib of its
    # own would be seen: a rib falls by up to this before it is far enough from the middle.
    rib_fall_mm: float = 60.0


PARAMETERS = UncertainParameters()


def measure_above_sacrum(
    column: Column, discs: tuple[float, ...], ribs: tuple[int | None, int | None]
) -> tuple[Region, ...]:
    """Measure the bodies that the sacrum counts as L1 to L4; none that has a rib.

    ``discs`` : down to L5/S1. ``ribs`` : index of the lowest vertebra with a rib, by side.
    """
    count = len(discs) - 1
    lowest = max((rib for rib in ribs if rib is not None), default=-1)
    low, high = PARAMETERS.lumbar_numbers
    if None not in ribs and not low <= count - 1 - lowest <= high:
        return ()
    first = max(count - LUMBAR, lowest + 1, 0)
    return _measure(column, discs, range(first, count - 1))


def measure_below_ribs(
    column: Column, discs: tuple[float, ...], rib: int | None
) -> tuple[Region, ...]:
    """Measure the bodies that the last pair of ribs counts as L1 to L4.

    ``rib`` : index of the lowest vertebra with ribs on both sides.
    """
    if rib is None or discs[-1] - discs[rib + 1] < PARAMETERS.rib_fall_mm:
        return ()
    last = min(rib + 1 + BODIES, len(discs) - 1)
    return _measure(column, discs, range(rib + 1, last))


def _measure(column: Column, discs: tuple[float, ...], bodies: range) -> tuple[Region, ...]:
    seen = are_seen(column, discs)
    between = [index for index in bodies if seen[index] and seen[index + 1]]
    found = (measure_body(column, discs, index) for index in between)
    return tuple(region for region in found if isinstance(region, Region))
