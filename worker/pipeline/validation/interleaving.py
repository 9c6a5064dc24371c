"""Recognition of acquisitions that alternate along the stack of slices.

Positions do not show this: slices of two phases may lie even between each other. The
attributes that tell acquisitions apart do. Acquisitions that follow each other (two stations,
one number for each rotation) and a value of its own for every slice are normal.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from worker.pipeline.header_values import (
    Array,
    directions_of,
    distances_along,
    normal_of,
    number_of,
    require,
    text_of,
)
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.volume import Series

# Chosen, not measured: stations of one examination may overlap by some slices, while phases
# that alternate share most of the stack (142 coronal slices: 278 mm, 162 axial: 398 mm).
MAX_OVERLAP_MM = 40.0
# Of the slices' extent, for stacks that are not longer than the above.
MAX_OVERLAP_SHARE = 0.5
# Chosen: slices of one acquisition follow each other faster, two phases are further apart.
PAUSE_SECONDS = 10.0
MAX_LISTED = 5

NUMBERS = (
    "AcquisitionNumber", "FrameAcquisitionNumber", "KVP", "MonoenergeticEnergyEquivalent",
    "TemporalPositionIdentifier", "TemporalPositionIndex", "NominalPercentageOfCardiacPhase",
)  # fmt: skip
NAMES = (
    "AcquisitionUID", "IrradiationEventUID", "AcquisitionTime", "AcquisitionDateTime",
    "FrameAcquisitionDateTime", "ConvolutionKernel", "StackID", "SeriesDescription",
    "ContrastBolusAgent",
)  # fmt: skip
TIMES = ("AcquisitionTime", "AcquisitionDateTime", "FrameAcquisitionDateTime")

Labels = npt.NDArray[np.int_]


def interleaved(series: Series) -> RuleResult:
    """Reject acquisitions, energies, kernels or phases that alternate along the normal."""
    headers = series.headers
    directions = require(directions_of(headers[0]))
    distances = require(distances_along(headers, normal_of(directions)))
    for keyword, values in _attributes(headers):
        overlap_mm, count = _longest_overlap(_labels(values), distances)
        limit_mm = min(MAX_OVERLAP_MM, MAX_OVERLAP_SHARE * float(np.ptp(distances)))
        if overlap_mm > limit_mm:
            text = (
                f"{count} acquisitions alternate over {overlap_mm:.0f} mm, by "
                f"{keyword}{_listed(keyword, values)}: one after the other is expected."
            )
            return Reason(ReasonCode.MIXED, text)
    return "No acquisitions alternate."


def _attributes(headers: Sequence[Dataset]) -> list[tuple[str, list[Hashable]]]:
    """Return the value of each slice for every attribute that has several values."""
    readers: list[tuple[str, Callable[[Dataset, str], Hashable]]] = [
        *((keyword, number_of) for keyword in NUMBERS),
        *((keyword, text_of) for keyword in NAMES),
    ]
    attributes = []
    for keyword, read in readers:
        values = [read(ds, keyword) for ds in headers]
        if len(set(values)) > 1:
            attributes.append((keyword, values))
            if keyword in TIMES:
                attributes.append((keyword, _without_pauses(values)))
    return attributes


def _without_pauses(times: Sequence[Hashable]) -> list[Hashable]:
    """Number the groups of times that ``PAUSE_SECONDS`` separate."""
    seconds = np.array([_seconds(str(time)) for time in times])
    order = np.argsort(seconds, kind="stable")
    groups = np.empty(len(seconds), int)
    groups[order] = np.cumsum(
        np.diff(seconds[order], prepend=seconds[order][0]) > PAUSE_SECONDS
    )
    return list(groups.tolist())


def _seconds(text: str) -> float:
    """Return a TM or DT value in seconds, 0 where it is absent or malformed (PS3.5 6.2)."""
    digits = re.match(r"\d*", text)[0]  # type: ignore[index]
    form = {6: "%H%M%S", 14: "%Y%m%d%H%M%S"}.get(len(digits))
    try:
        return (datetime.strptime(digits, form or "") - datetime(1900, 1, 1)).total_seconds()
    except ValueError:
        return 0.0


def _labels(values: Sequence[Hashable]) -> Labels:
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([numbers[value] for value in values])


def _longest_overlap(labels: Labels, distances: Array) -> tuple[float, int]:
    """Return the longest common extent of two acquisitions, mm, and the number of all.

    ``labels`` : number of the acquisition of each slice, sorted by position.
    """
    places = [distances[labels == label] for label in range(int(labels.max()) + 1)]
    extents = sorted((float(each[0]), float(each[-1])) for each in places)
    longest, end = 0.0, extents[0][1]
    for first, last in extents[1:]:
        longest = max(longest, min(end, last) - first)
        end = max(end, last)
    return longest, len(places)


def _listed(keyword: str, values: Sequence[Hashable]) -> str:
    """Return the values of a number; texts are not quoted."""
    numbers = sorted({value for value in values if isinstance(value, float)})
    if keyword not in NUMBERS or not numbers:
        return ""
    listed = ", ".join(f"{number:g}" for number in numbers[:MAX_LISTED])
    return f" {listed}" + (" …" if len(numbers) > MAX_LISTED else "")
