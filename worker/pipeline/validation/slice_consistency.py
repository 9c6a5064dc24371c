"""Rule for slices that hold no image, or pixels that belong elsewhere.

Neighboring slices of a body resemble each other. A slice is foreign where it differs from both
neighbors more than they differ from each other, although they lie farther apart. A step of
the anatomy (a breath between two stations) is seen at one side of a slice only, and noise is
equal in all differences, so neither makes a slice foreign. The slices are compared as they
were acquired, before axial ones are averaged to coronal slabs.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.validation.slice_faults import (
    BODY_HU,
    EQUAL_HU,
    Fault,
    Floats,
    Thumbnails,
    differences,
)
from worker.pipeline.validation.slice_order import rotated
from worker.pipeline.validation.slice_scale import scaled
from worker.pipeline.volume import Volume

# About 6 mm a pixel: noise and fine detail do not count, the outlines of organs do.
THUMBNAIL_PIXELS = 64
# Metal and its streaks must not outweigh the body.
THUMBNAIL_HU = (-1000.0, 1000.0)
# As ``EQUAL_HU``: the differences that slices in the wrong order are compared by are small in
# slices of 1 mm.
REVERSED_EQUAL_HU = 1.0

# Thresholds of ratios. Experiment: the largest ratio of any slice in 40 simulated volumes and
# 50 reslicings of ten real CT (axial and coronal, 1–5 mm) beside those after one alteration.
# The rule refused none of these and of 78 other simulated volumes.
# Run of one, two or three foreign slices: valid at most 0.72, 0.67, 0.65; with slices from
# elsewhere 2.0, 1.3, 1.1 and more in 95 % (median 5.3, 4.1, 3.4). Longer ones: valid at most
# 0.57, in the stacks named below.
FOREIGN_RATIOS = {1: 1.2, 2: 1.0, **dict.fromkeys(range(3, 9), 0.95)}
# Two adjacent slices in the wrong order, or a run in reverse order, in 12 axial and coronal
# stacks of six real CT, 0.7 to 4 mm, and in two simulated ones: valid at most 0.80, altered
# 1.24 and more in 95 % for two slices, 1.30 for three, 2.0 for nine.
REVERSED_RATIO, REVERSED_SLICES = 1.0, range(2, 10)
MOST_STEPS = 10  # more than between the ends of any run
LONG = 2  # steps from the first slice of a run to its last
# A slice flipped: valid at most 0.75 (columns) and 0.95 (rows), flipped 2.5 and more in 95 %.
FLIPPED_RATIO = 1.3
# All slices flipped from one on, in the same stacks: valid at most 1.08, flipped 1.63 and more
# in 95 %. In coronal slices of 2 mm two backs reached 1.66 where the body ends.
FLIPPED_STEP_RATIO = 1.5
# The first or last slice against the next three steps: valid at most 1.3, foreign 1.8–50. It
# must also differ like slices far away, valid at most 0.4: a breath is no foreign slice.
END_RATIO, END_SHARE = 2.5, 0.45
# A step between two slices against the steps beside it, and against the difference of slices
# far away: in 30 of the volumes at most 1.6 and 0.6, with a breath at most 5 and 0.65, with the
# rest from another patient 2.3–18 and 0.8–3.3. Where both are high the bodies differ.
STEP_RATIO, STEP_SHARE = 2.0, 1.0
STEPS_BESIDE, FAR_SLICES = 3, 12
# Two slices of a scan never have equal pixels: noise differs. Copies from farther away are
# foreign. Where this share of the slices has a twin, the series is resampled without
# interpolation, and its slices lie where they should.
TWIN_SLICES, MAX_TWINS = 3, 0.25
# Slices with less than this share of the largest body in one are its ends, where the table
# appears and disappears in one slice.
END_AREA = 0.25
# A constant slice of air is lost where there is this much body on both sides of it.
EMPTY_AREA = 0.05
CONSTANT_HU = 1.0
MAX_AIR_HU = -900.0
MOST_NAMED = 4

Apart = dict[int, Floats]
"""Differences of all slices that lie this many steps apart."""


def thumbnail(image: Floats) -> Thumbnails:
    """Return means of blocks of a slice in HU, at most twice ``THUMBNAIL_PIXELS`` a side."""
    rows, columns = image.shape
    high, wide = (max(1, count // THUMBNAIL_PIXELS) for count in (rows, columns))
    kept = image[: rows // high * high, : columns // wide * wide]
    # Sums of rows first: they run along the memory.
    sums = kept.reshape(-1, high, kept.shape[1]).sum(axis=1)
    means = np.add.reduceat(sums, np.arange(0, sums.shape[1], wide), axis=1) / (high * wide)
    return np.asarray(np.clip(means, *THUMBNAIL_HU), np.float32)


def inconsistent_slices(volume: Volume) -> RuleResult:
    """Reject slices that hold no image, or one that is foreign to its neighbors."""
    acquired = volume.acquired
    if acquired is None or len(acquired.thumbnails) < 3:
        return "No slices to compare."
    found = find_faults(acquired.thumbnails)
    if not found:
        return f"{len(acquired.thumbnails)} slices resemble their neighbors."
    text = " ".join(_sentence(fault, acquired.names) for fault in found[:MOST_NAMED])
    rest = len(found) - MOST_NAMED
    return Reason(ReasonCode.GAPS, text + (f" {rest} more places." if rest > 0 else ""))


def find_faults(thumbnails: Thumbnails) -> list[Fault]:
    """Return the faults of (slices, rows, columns), in order, none overlapping."""
    areas = (thumbnails > BODY_HU).mean(axis=(1, 2))
    empty = list(_empty(thumbnails, areas))
    holding = np.ones(len(thumbnails), bool)
    for fault in empty:
        holding[fault.first : fault.last + 1] = False
    index = np.flatnonzero(holding)
    left, body = thumbnails[index], areas[index] >= END_AREA * areas.max()
    if len(left) < 3:
        return empty
    apart = {steps: _apart(left, steps) for steps in range(1, min(MOST_STEPS, len(left)))}
    found = [
        *_foreign(apart, body),
        *_reversed(apart, body),
        *_flipped(left, body),
        *_ends(left, body),
        *_twins(left, body),
        *scaled(left, body),
        *rotated(left, body),
        *(
            f
            for f in (*_joined(left, body), *_turned(left, body))
            if index[f.last] == index[f.first] + 1
        ),
    ]
    compared = [
        Fault(int(index[f.first]), int(index[f.last]), f.words, f.strength)
        for f in _strongest(found)
    ]
    return sorted([*empty, *compared], key=lambda fault: fault.first)


def _empty(thumbnails: Thumbnails, areas: Floats) -> Iterator[Fault]:
    """Yield runs of constant slices: those inside of the body, and all but air elsewhere."""
    flat = np.ptp(thumbnails, axis=(1, 2)) < CONSTANT_HU
    if flat.all():
        return  # no series of a body; ``quality.no_anatomy`` says so
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(np.int8), [0]])))
    body = areas >= EMPTY_AREA * areas[~flat].max()
    for start, stop in edges.reshape(-1, 2).tolist():
        air = thumbnails[start].mean() <= MAX_AIR_HU
        if not air or _is_inside(thumbnails, body, start, stop):
            yield Fault(start, stop - 1, "no image: all pixels are equal")


def _is_inside(
    thumbnails: Thumbnails, body: npt.NDArray[np.bool_], start: int, stop: int
) -> bool:
    """Return whether slices lie in the body: those beside them differ less from each other.

    The last slice of a body and the table behind it have nothing in common.
    """
    if start == 0 or stop == len(thumbnails) or not (body[start - 1] and body[stop]):
        return False
    before, empty, after = thumbnails[[start - 1, start, stop]]
    nearest = min(np.abs(before - empty).mean(), np.abs(after - empty).mean())
    return bool(nearest > np.abs(before - after).mean())


def _foreign(apart: Apart, body: npt.NDArray[np.bool_]) -> Iterator[Fault]:
    """Yield runs of slices that resemble neither neighbor."""
    count, beside = len(body), apart[1]
    for length, limit in FOREIGN_RATIOS.items():
        if length + 1 not in apart:
            return
        first = np.arange(1, count - length)
        around = apart[length + 1][: len(first)]
        both = np.minimum(beside[first - 1], beside[first + length - 1])
        ratios = both / (around + EQUAL_HU) / limit
        for i in first[(ratios > 1) & body[first - 1] & body[first + length]].tolist():
            words = "pixels that are foreign to both neighbors"
            yield Fault(i, i + length - 1, words, float(ratios[i - 1]))


def _reversed(apart: Apart, body: npt.NDArray[np.bool_]) -> Iterator[Fault]:
    """Yield runs of slices whose ends would fit their neighbors in the other order."""
    count, beside = len(body), apart[1]
    for length in REVERSED_SLICES:
        if length not in apart:
            return
        first = np.arange(1, count - length)
        turned = apart[length]
        as_is = beside[first - 1] + beside[first + length - 1]
        in_reverse = turned[first - 1] + turned[first] + REVERSED_EQUAL_HU
        ratios = as_is / in_reverse / REVERSED_RATIO
        for i in first[(ratios > 1) & body[first - 1] & body[first + length]].tolist():
            words = "each other's pixels" if length == 2 else "pixels in reverse order"
            yield Fault(i, i + length - 1, words, float(ratios[i - 1]))


def _apart(thumbnails: Thumbnails, steps: int) -> Floats:
    """Return the differences of slices that lie some steps apart."""
    return differences(thumbnails[steps:], thumbnails[:-steps])


def _flipped(thumbnails: Thumbnails, body: npt.NDArray[np.bool_]) -> Iterator[Fault]:
    """Yield slices that resemble their neighbors better when their rows or columns turn."""
    coarse = _coarse(thumbnails)
    between = (coarse[:-2] + coarse[2:]) / np.float32(2)
    as_is = differences(coarse[1:-1], between)
    for axis, words in ((1, "rows"), (2, "columns")):
        turned = differences(np.flip(coarse[1:-1], axis), between) + EQUAL_HU
        ratios = as_is / turned / FLIPPED_RATIO
        for i in np.flatnonzero((ratios > 1) & body[:-2] & body[2:]).tolist():
            yield Fault(i + 1, i + 1, f"{words} in reverse order", float(ratios[i]))


def _turned(thumbnails: Thumbnails, body: npt.NDArray[np.bool_]) -> Iterator[Fault]:
    """Yield neighbors that resemble each other when the rows or columns of one turn."""
    coarse = _coarse(thumbnails)
    as_is = differences(coarse[1:], coarse[:-1])
    # With body beside them, too: the last slices of a back on a table resemble no neighbor.
    beside = np.pad(body, 1, constant_values=True)
    held = beside[:-3] & beside[1:-2] & beside[2:-1] & beside[3:]
    for axis, words in ((1, "rows"), (2, "columns")):
        turned = differences(np.flip(coarse[1:], axis), coarse[:-1]) + EQUAL_HU
        ratios = as_is / turned / FLIPPED_STEP_RATIO
        for i in np.flatnonzero((ratios > 1) & held).tolist():
            yield Fault(i, i + 1, f"{words} in opposite orders", float(ratios[i]))


def _coarse(thumbnails: Thumbnails) -> Thumbnails:
    """Return half of the detail, which a comparison with a flip does not need (cost)."""
    even = thumbnails[:, : thumbnails.shape[1] // 2 * 2, : thumbnails.shape[2] // 2 * 2]
    return (even[:, ::2, ::2] + even[:, 1::2, 1::2]) / np.float32(2)


def _ends(thumbnails: Thumbnails, body: npt.NDArray[np.bool_]) -> Iterator[Fault]:
    """Yield the first or the last slice where the one beside it is unlike it."""
    count = len(thumbnails)
    for index, order in ((0, slice(None)), (count - 1, slice(None, None, -1))):
        ordered = thumbnails[order]
        steps = differences(ordered[1:5], ordered[:4][: len(ordered) - 1])
        far = float(np.median(differences(ordered[count // 3 :], ordered[1])))
        ratio = float(steps[0] / (steps[1:].max() + EQUAL_HU)) / END_RATIO
        if ratio > 1 and steps[0] > END_SHARE * far and body[order][1]:
            yield Fault(index, index, "pixels that are foreign to its neighbors", ratio)


def _twins(thumbnails: Thumbnails, body: npt.NDArray[np.bool_]) -> Iterator[Fault]:
    """Yield slices near each other that have the same pixels, away from repeated ends."""
    count = len(thumbnails)
    sums = thumbnails.sum(axis=(1, 2), dtype=np.float64)
    pairs = [
        (int(i), int(i) + lag)
        for lag in range(1, TWIN_SLICES + 1)
        for i in np.flatnonzero((sums[lag:] == sums[:-lag]) & body[lag:] & body[:-lag])
        if np.array_equal(thumbnails[i], thumbnails[i + lag])
    ]
    if len(pairs) <= MAX_TWINS * count:
        for first, last in pairs:
            if first > 0 and last < count - 1:
                yield Fault(first, last, "equal pixels")


def _joined(thumbnails: Thumbnails, body: npt.NDArray[np.bool_]) -> Iterator[Fault]:
    """Yield neighbors that differ like slices of different parts of the body."""
    count = len(thumbnails)
    steps = differences(thumbnails[1:], thumbnails[:-1])
    for i in range(STEPS_BESIDE, count - 1 - STEPS_BESIDE):
        beside = np.delete(steps[i - STEPS_BESIDE : i + STEPS_BESIDE + 1], STEPS_BESIDE)
        ratio = float(steps[i] / (beside.max() + EQUAL_HU)) / STEP_RATIO
        if ratio > 1 and body[i : i + 2].all():
            far = np.flatnonzero(body & (np.abs(np.arange(count) - i) >= count // 4))
            far = far[:: max(1, len(far) // FAR_SLICES)]
            usual = differences(thumbnails[far], thumbnails[i])
            if len(far) and steps[i] > STEP_SHARE * np.median(usual):
                yield Fault(i, i + 1, "pixels that have nothing in common", ratio)


def _strongest(faults: Iterable[Fault]) -> list[Fault]:
    """Return the faults without those beside a stronger one: it alters their neighbors.

    A long run comes last: it also lies between a foreign slice and the one that has the same
    pixels.
    """
    kept: list[Fault] = []
    for fault in sorted(faults, key=lambda one: (_is_long_run(one), -one.strength)):
        if all(fault.first > other.last + 1 or fault.last < other.first - 1 for other in kept):
            kept.append(fault)
    return kept


def _is_long_run(fault: Fault) -> bool:
    return fault.last - fault.first > LONG and np.isfinite(fault.strength)


def _sentence(fault: Fault, names: tuple[str, ...]) -> str:
    numbers = sorted({fault.first, fault.last})
    which = " to ".join(f"{index + 1} ({names[index]})" for index in numbers)
    verb = "holds" if len(numbers) == 1 else "hold"
    return f"Slice{'s' * (len(numbers) - 1)} {which} {verb} {fault.words}."
