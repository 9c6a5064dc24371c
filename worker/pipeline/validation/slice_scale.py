"""Rule for a slice whose values have another scale than those of its neighbors.

The outlines of such a slice are those of its neighbors, so that it is not foreign to them. Its
contrast is another: the spread of the values of the body.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from worker.pipeline.validation.slice_faults import BODY_HU, Fault, Floats, Thumbnails

# Spread against both neighbors, the nearer one, where the values follow those of the neighbors.
# Experiment: axial and coronal stacks of ten real CT, 2 to 5 mm. Valid: at most 1.09 where the
# correlation is above 0.95, but 1.28 at 0.925 in coronal 2 mm of a knee, so that thick slices,
# whose neighbors differ, are not judged. With a limit of 0.9, one slice of five stacks times
# 1.3 was found in 73 of 80 up to 4.2 mm; about half of them have a correlation above 0.95.
SCALED_RATIO, MIN_CORRELATION = 1.17, 0.95
# Added to the spread, which noise hides where there is hardly any.
NOISE_HU = 5.0
# Metal and contrast medium differ from slice to slice.
DENSE_HU = 600.0
MIN_PIXELS = 100


def scaled(thumbnails: Thumbnails, body: npt.NDArray[np.bool_]) -> Iterator[Fault]:
    """Yield slices whose spread of values is larger or smaller than those of both neighbors.

    ``body`` : slices that hold more than an end of the body.
    """
    held = thumbnails > BODY_HU
    for i in np.flatnonzero(body[:-2] & body[1:-1] & body[2:]).tolist():
        before, own, after = thumbnails[i : i + 3]
        among = held[i : i + 3].all(axis=0) & (np.maximum(before, after) < DENSE_HU)
        if np.count_nonzero(among) < MIN_PIXELS:
            continue
        ratio = _spread_ratio(before[among], own[among], after[among]) / SCALED_RATIO
        if (
            ratio > 1
            and _correlation(own[among], before[among] + after[among]) > MIN_CORRELATION
        ):
            yield Fault(i + 1, i + 1, "values of another scale than its neighbors", ratio)


def _spread_ratio(before: Floats, own: Floats, after: Floats) -> float:
    """Return how many times larger or smaller the spread is than the nearer neighbor's."""
    left, middle, right = (float(values.std()) + NOISE_HU for values in (before, own, after))
    return max(middle / max(left, right), min(left, right) / middle)


def _correlation(first: Floats, second: Floats) -> float:
    spread = float(first.std() * second.std())
    if spread == 0:
        return 0.0
    return float(((first - first.mean()) * (second - second.mean())).mean()) / spread
