"""Rule for spacing and slice distances that give the body impossible proportions.

A wrong distance between slices or pixels stretches the anatomy along one axis. Heads become
oval, but in a real CT the socket and the neck hide so much of a head that its axes cannot be
measured to 30 %. All structures around the heads are stretched with it: over 10 mm the image
then changes less along the stretched axis than along the others. The ratios of these changes
are nearly the same in all patients. A scale that is wrong along all axes shows in the size of
the heads and in their distance.

Limits: a stretch of less than about 1.5 along one axis (2 from head to foot), or of 1.3 along
two or three, is not seen; nor is the latter with one hip in view, unless the head has no human
size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.volume import Box, Femur, Volume

# Means over cells of that size, so that noise does not count; the changes over that distance.
CELL_MM = 4.0
CHANGE_MM = 10.0
# Fat to trabecular bone: cortex, metal and gas do not dominate the changes.
RANGE_HU = (-200.0, 500.0)
BODY_HU, METAL_HU = -500.0, 1500.0
MIN_PAIRS = 500
# Half of the part of the body around each head.
REACH_MM = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Ratios of changes that a body has, lowest and highest.

    ``depth`` : from front to back against across. ``height`` : across and from front to back,
    mean of both, against from head to foot.
    """

    depth: tuple[float, float]
    height: tuple[float, float]


# Experiment: 40 simulated volumes and 50 reslicings of ten real CT (axial and coronal, 1–5 mm),
# also with noise of 60 HU: depth 0.89–1.05 and height 1.16–1.61 around the heads, 0.94–1.17 and
# 1.12–2.24 in the body, 1.39 in the middle of one without skin. SD of the logarithms 0.04 and
# 0.08: two to four of them are added beyond these extremes. Refused around the heads of 30
# volumes: coronal distances times 0.5, 1.67 and 2 100 %, 0.6 94 %, 1.5 78 %; axial ones times
# 0.5 and 2 75 %, 0.6 and 1.67 33 %. Without a head nothing is graded, so that the limits are
# wider still: coronal distances times 2 96 %, 0.5 40 %, axial 16 %. These rates are those of
# depths of 0.77–1.20, narrowed since: a simulated volume with coronal distances times 0.6 had
# 1.17. Two simulated volumes and 15 reslicings of three real CT have 0.91–1.04 as they are,
# 1.17–1.43 times 0.6, 0.66–0.79 times 1.5.
AROUND_HEADS = Limits(depth=(0.80, 1.15), height=(1.00, 1.85))
WHOLE_BODY = Limits(depth=(0.78, 1.50), height=(0.95, 3.00))

# Near the surface of the body, skin, fat and muscle follow each other along one axis. Of parts
# of 36 to 200 mm of three volumes, one of them real, cut from front to back and across, 53 were
# refused, all with less than 69 mm of body in one direction.
MIN_EXTENT_MM, SECTION_SHARE = 80.0, 0.25

# Radii of femoral heads: diameters of 49 ± 3 mm (men) and 44 ± 3 mm (women), Mall 2000
# (Forensic Sci Int 113:315, 170 German adults): three SD, and osteophytes.
RADIUS_MM = (17.5, 30.0)
# Distance of the centers of both heads: 144–184 mm in the same volumes. Pixels said to be 1.3
# times as large and more put most of them out of this range.
HEADS_APART_MM = (115.0, 205.0)


@dataclass(frozen=True, slots=True)
class Changes:
    """Mean absolute change in HU over ``CHANGE_MM`` along each axis of the patient."""

    depth: float
    height: float
    width: float

    @property
    def depth_ratio(self) -> float:
        """Change from front to back against that across."""
        return self.depth / self.width

    @property
    def height_ratio(self) -> float:
        """Mean of the changes in the axial plane against that from head to foot."""
        return float(np.sqrt(self.depth * self.width)) / self.height


def implausible_geometry(volume: Volume, femurs: Sequence[Femur]) -> RuleResult:
    """Reject volumes whose structures are stretched, or whose heads have no human size."""
    if fault := _wrong_size(femurs):
        return Reason(ReasonCode.GAPS, f"The geometry is not plausible: {fault}.")
    limits = AROUND_HEADS if femurs else WHOLE_BODY
    changes = changes_around(volume, femurs) if femurs else changes_in_body(volume)
    if changes is None:
        return "Too little of the body in view to compare its proportions."
    where = "around the femoral heads" if femurs else "in the body"
    compared = (
        ("from front to back as from right to left", changes.depth_ratio, limits.depth),
        ("across as from head to foot", changes.height_ratio, limits.height),
    )
    for words, ratio, (low, high) in compared:
        if not low <= ratio <= high:
            text = (
                f"The geometry is not plausible: {where} the image changes {ratio:.2f} times "
                f"as much {words}, {low:.2f} to {high:.2f} are expected."
            )
            return Reason(ReasonCode.GAPS, text)
    found = ", ".join(f"{ratio:.2f} times as much {words}" for words, ratio, _ in compared)
    return f"Changes over {CHANGE_MM:.0f} mm {where}: {found}."


def _wrong_size(femurs: Sequence[Femur]) -> str | None:
    """Return which head or distance of heads no adult has."""
    centers = np.array([femur.center_mm for femur in femurs])
    apart = [float(np.linalg.norm(centers[0] - centers[1]))] if len(centers) == 2 else []
    measured = (
        (
            "a femoral head of {:.0f} mm radius",
            [femur.radius_mm for femur in femurs],
            RADIUS_MM,
        ),
        ("femoral heads {:.0f} mm apart", apart, HEADS_APART_MM),
    )
    for words, values, (low, high) in measured:
        for value in values:
            if not low <= value <= high:
                return f"{words.format(value)}, {low:g} to {high:g} mm are expected"
    return None


def changes_around(volume: Volume, femurs: Sequence[Femur]) -> Changes | None:
    """Return the geometric means of the changes around the heads; None outside of a body."""
    found = [
        changes_in(volume, volume.box_around(np.array([femur.center_mm]), REACH_MM))
        for femur in femurs
    ]
    known = [(each.depth, each.height, each.width) for each in found if each is not None]
    return Changes(*np.exp(np.mean(np.log(known), axis=0)).tolist()) if known else None


def changes_in_body(volume: Volume) -> Changes | None:
    """Return the changes in a volume, of whose small pixels every second is read (cost)."""
    _, down, left = (2 if mm <= CELL_MM / 2 else 1 for mm in volume.spacing_mm)
    thinned = Volume(
        volume.hu[:, ::down, ::left], volume.affine @ np.diag([1.0, down, left, 1])
    )
    whole = slice(None)
    return changes_in(thinned, (whole, whole, whole), least_mm=MIN_EXTENT_MM)


def changes_in(volume: Volume, box: Box, *, least_mm: float = 0.0) -> Changes | None:
    """Return the changes in a part of a volume, None where there is too little body in it.

    ``least_mm`` : extent that the body must have from front to back and across.
    """
    block = np.maximum(1, np.rint(CELL_MM / np.array(volume.spacing_mm))).astype(int)
    cells = _means(volume.hu[box], block)
    body = (cells > BODY_HU) & (cells < METAL_HU)
    extent_mm = _extents(body) * block * volume.spacing_mm
    if min(extent_mm[0], extent_mm[2]) < least_mm:
        return None
    clipped = np.clip(cells, *RANGE_HU)
    found = [
        _change(np.moveaxis(clipped, axis, 0), np.moveaxis(body, axis, 0), cell_mm)
        for axis, cell_mm in enumerate(block * volume.spacing_mm)
    ]
    return Changes(*found) if all(change > 0 for change in found) else None


def _extents(body: npt.NDArray[np.bool_]) -> npt.NDArray[np.int_]:
    """Return along each axis the number of sections with ``SECTION_SHARE`` of the largest."""
    areas = [np.moveaxis(body, axis, 0).sum(axis=(1, 2)) for axis in range(body.ndim)]
    return np.array([np.count_nonzero(area >= SECTION_SHARE * area.max()) for area in areas])


def _means(hu: npt.NDArray[np.int16], block: npt.NDArray[np.int_]) -> npt.NDArray[np.float32]:
    """Return the means of whole blocks of voxels."""
    count = np.array(hu.shape) // block
    kept = hu[tuple(slice(0, n) for n in (count * block).tolist())]
    # Rows first: they run along the memory.
    rows = kept.reshape(-1, count[1], block[1], kept.shape[2]).sum(axis=2, dtype=np.int32)
    columns = np.add.reduceat(rows, np.arange(0, kept.shape[2], block[2]), axis=2)
    sums = columns.reshape(count[0], block[0], count[1], count[2]).sum(axis=1)
    return np.asarray(sums / np.float32(block.prod()), np.float32)


def _change(
    cells: npt.NDArray[np.float32], body: npt.NDArray[np.bool_], cell_mm: float
) -> float:
    """Return the change over ``CHANGE_MM`` along the first axis, 0 where it is unknown."""
    steps = max(1, int(CHANGE_MM / cell_mm))
    found = []
    for lag in (steps, steps + 1):
        both = body[lag:] & body[:-lag]
        if np.count_nonzero(both) < MIN_PAIRS:
            return 0.0
        found.append(float(np.abs(cells[lag:] - cells[:-lag])[both].mean()))
    return float(np.interp(CHANGE_MM, [steps * cell_mm, (steps + 1) * cell_mm], found))
