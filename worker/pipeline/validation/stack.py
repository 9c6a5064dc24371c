"""Rules for the positions of sorted slices: they must make a stack that an affine describes.

One function a rule; ``eligibility`` applies them.
"""

from itertools import groupby

import numpy as np

from worker.pipeline import header_values
from worker.pipeline.header_values import Array, require
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.volume import Series

SAME_POSITION_MM = 0.01
MAX_GANTRY_TILT_DEG = 2.0
# Rounded positions make steps uneven by a few percent; a missing slice doubles one.
MAX_UNEVENNESS = 0.25
MAX_SLICE_SPACING_MM = 6.0
# Largest difference between a slice's position and the affine: well under what the finder
# can see.
MAX_DEVIATION_MM = 2.0


def repeated_positions(series: Series) -> RuleResult:
    """Reject several phases, energies or kernels in one series.

    The median number of images a position distinguishes them from a stray copy of a slice.
    """
    distances = _positions(series) @ header_values.normal_of(directions_of(series))
    steps = np.diff(distances, prepend=distances[0])
    places = np.cumsum(steps >= SAME_POSITION_MM)
    usual = int(np.median([len(list(same)) for _, same in groupby(places)]))
    if usual < 2:
        return "One image at each position."
    text = f"Each position holds {usual} images: several phases, energies or reconstructions."
    return Reason(ReasonCode.MIXED, text)


def gantry_tilt(series: Series) -> RuleResult:
    """Reject sheared stacks, by the positions: GantryDetectorTilt may be wrong."""
    positions = _positions(series)
    step = positions[-1] - positions[0]
    length = float(np.linalg.norm(step))
    if length < SAME_POSITION_MM:
        return "All slices lie at one position."
    cosine = abs(float(step @ header_values.normal_of(directions_of(series)))) / length
    angle = float(np.degrees(np.arccos(min(1.0, cosine))))
    if angle <= MAX_GANTRY_TILT_DEG:
        return f"The slices are sheared by {angle:.1f}°."
    return Reason(
        ReasonCode.ORIENTATION, f"The slices are sheared by {angle:.0f}° (gantry tilt)."
    )


def gaps(series: Series) -> RuleResult:
    """Require even steps, no position twice, and steps short enough to see a neck."""
    distances = _positions(series) @ header_values.normal_of(directions_of(series))
    steps = np.diff(distances)
    if steps.size == 0:
        return "There is only one slice."
    doubles = int((steps < SAME_POSITION_MM).sum())
    if doubles:
        text = f"{doubles} of {len(distances)} slices lie at a position that is taken."
        return Reason(ReasonCode.GAPS, text)
    usual, widest = float(np.median(steps)), float(steps.max())
    if np.abs(steps - usual).max() > MAX_UNEVENNESS * usual:
        text = f"Missing or uneven slices: usually {usual:.1f} mm apart, up to {widest:.1f} mm."
        return Reason(ReasonCode.GAPS, text)
    if usual > MAX_SLICE_SPACING_MM:
        limit = f"at most {MAX_SLICE_SPACING_MM:.0f} mm are accepted"
        return Reason(ReasonCode.GAPS, f"Slices are {usual:.1f} mm apart, {limit}.")
    return f"Usually {usual:.1f} mm apart, from {steps.min():.1f} to {widest:.1f} mm."


def uneven_line(series: Series) -> RuleResult:
    """Reject slices away from their places on the even line from the first to the last."""
    positions = _positions(series)
    line = np.linspace(positions[0], positions[-1], len(positions))
    deviation = float(np.linalg.norm(positions - line, axis=1).max())
    if deviation <= MAX_DEVIATION_MM:
        return f"Up to {deviation:.1f} mm beside it."
    text = f"Slices lie up to {deviation:.1f} mm beside the place that even steps give them."
    return Reason(ReasonCode.GAPS, text)


def _positions(series: Series) -> Array:
    """Return (slices, 3) patient LPS mm."""
    return np.array([require(header_values.position_of(ds)) for ds in series.headers])


def directions_of(series: Series) -> Array:
    """Return the (2, 3) directions of columns and rows of a checked series."""
    return require(header_values.directions_of(series.headers[0]))
