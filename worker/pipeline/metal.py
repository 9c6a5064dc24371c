"""Metal in or at a hip, told from dense contrast medium, calcified vessels and hard cortex.

Metal is denser than anything the body makes, and where the scale of the scanner ends it stays
at that end. Contrast medium in bladder or bowel can be as dense as a thin screw, but it lies
beside the femur and does not reach the end of the scale.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.field_of_view import Points, neck_axis_of, trochanter_of
from worker.pipeline.results import Femur, Reason, ReasonCode, Side, Verdict, Volume
from worker.pipeline.statements import SIDE_WORDS

Hu = npt.NDArray[np.int16]

# Cortical bone stays under 1,700 HU in our real and simulated volumes, and under about 2,000
# with sharp kernels; titanium and steel begin beyond 3,000 and lose little to partial volume.
METAL_HU = 2200
METAL_MM3 = 150.0
# Scales of 12 bits end at 3,071 HU: a good part of metal reaches the end, of dense contrast
# medium only noise.
SATURATED_HU = 3000
SATURATED_SHARE = 0.2
# A scale that was cut lower still has metal as a plateau at its end, which bone never is.
LOWEST_PLATEAU_HU = 1500
# Trabecular bone round the axis of head and neck, dense islands included, stays under 1,300 HU:
# there thin screws are told that thick slices have diluted.
CORE_HU = 1600
CORE_MM = 8.0
CORE_MM3 = 100.0

# Tubes round the axes in which metal is in the bone or on it, and the wider one round the head
# in which it lies at the joint: the bladder is 45 mm and more away.
BONE_MM = 25.0
JOINT_MM = 35.0
# Half of a crop, in which the model would see it.
SHAFT_MM = 120.0

PROSTHESIS_MM3 = 500.0
MIDLINE_MM = 50.0
HIP_HEIGHT_MM = 80.0
BODY_HU = -300


@dataclass(frozen=True, slots=True)
class Pieces:
    """Connected pieces of dense voxels, numbered from 1.

    ``of`` : (n,) piece of each voxel; ``position_mm`` : (n, 3) patient LPS; ``saturated`` :
    (n,) whether its piece reaches the end of the scale.
    """

    of: npt.NDArray[np.intp]
    position_mm: Points
    saturated: npt.NDArray[np.bool_]
    voxel_mm3: float

    def mm3(self) -> npt.NDArray[np.float64]:
        """(pieces + 1,) volume of each piece, 0 of none."""
        return np.asarray(np.bincount(self.of, minlength=1) * self.voxel_mm3)

    def largest_mm3(self, chosen: npt.NDArray[np.bool_]) -> float:
        """Volume of the largest piece that has one of the chosen voxels."""
        touched = np.unique(self.of[chosen])
        return float(self.mm3()[touched].max()) if len(touched) else 0.0


def metal(volume: Volume, femur: Femur) -> Verdict:
    """A prosthesis, nail, plate or screw in head, neck, trochanter or upper shaft, or at the
    joint."""
    core, implant = _core_mm3(volume, femur), _implant_mm3(volume, femur)
    if core < CORE_MM3 and implant < METAL_MM3:
        return (
            f"Largest dense piece: {core / 1000:.2f} ml inside of head and neck, "
            f"{implant / 1000:.2f} ml in the bone or at the joint."
        )
    found = max(core if core >= CORE_MM3 else 0.0, implant if implant >= METAL_MM3 else 0.0)
    text = f"{found / 1000:.1f} ml of metal at the {SIDE_WORDS[femur.side]} hip."
    return Reason(ReasonCode.METAL, text)


def metal_for_hip(volume: Volume, side: Side, found: Iterable[Femur]) -> Reason | None:
    """A prosthesis where a side has no femur: far enough from the middle, at the height of the
    other hip where there is one."""
    pieces = _pieces(volume, METAL_HU, (0, 0, 0), volume.hu.shape)
    if pieces is None:
        return None
    across = pieces.position_mm[:, 0] - midline_mm(volume)
    near = across > MIDLINE_MM if side == "L" else across < -MIDLINE_MM
    for femur in found:
        near &= np.abs(pieces.position_mm[:, 2] - femur.center_mm[2]) < HIP_HEIGHT_MM
    largest = pieces.largest_mm3(near & pieces.saturated)
    if largest < PROSTHESIS_MM3:
        return None
    text = f"{largest / 1000:.0f} ml of metal in place of the {SIDE_WORDS[side]} hip."
    return Reason(ReasonCode.METAL, text)


def midline_mm(volume: Volume) -> float:
    """x of the middle of the body, patient LPS; where a side of the body is cut off, that of
    the scanner, on which patients are centred."""
    body = volume.hu[:: max(1, len(volume.hu) // 24), ::8] > BODY_HU
    columns = np.flatnonzero(body.any(axis=(0, 1)))
    if not len(columns) or columns[0] == 0 or columns[-1] == body.shape[2] - 1:
        return 0.0
    middle = np.array(volume.hu.shape) / 2
    middle[2] = (columns[0] + columns[-1]) / 2
    return float(volume.to_mm(middle)[0])


def _core_mm3(volume: Volume, femur: Femur) -> float:
    """Of a piece that runs through the trabecular bone of head or neck; 0 for none."""
    head = np.array(femur.center_mm)
    axis = np.linspace(head, np.array(femur.neck_mm), 6)
    pieces = _pieces_near(volume, axis, CORE_MM, CORE_HU)
    if pieces is None:
        return 0.0
    # Only what lies in the core: dense cortex may touch it.
    inside = distances_mm(pieces.position_mm, axis) <= CORE_MM
    counts = np.bincount(pieces.of[inside], minlength=1) * pieces.voxel_mm3
    return float(counts.max())


def _implant_mm3(volume: Volume, femur: Femur) -> float:
    """Of a piece of metal in the bone, on it, or at the joint; 0 for none."""
    head, trochanter = np.array(femur.center_mm), trochanter_of(femur)
    bone = np.linspace(head, trochanter + 10.0 * neck_axis_of(femur), 8)
    if femur.shaft_direction is not None:
        down = np.array(femur.shaft_direction)
        bone = np.concatenate([bone, np.linspace(trochanter, trochanter + SHAFT_MM * down, 9)])
    pieces = _pieces_near(volume, bone, JOINT_MM, METAL_HU)
    if pieces is None:
        return 0.0
    in_bone = distances_mm(pieces.position_mm, bone) <= BONE_MM
    at_joint = distances_mm(pieces.position_mm, head[None]) <= JOINT_MM
    return pieces.largest_mm3(in_bone | (at_joint & pieces.saturated))


def distances_mm(positions: Points, points: Points) -> npt.NDArray[np.float64]:
    """(n,) distance of each of (n, 3) positions to the nearest of (m, 3) points."""
    offsets = positions[:, None].astype(np.float32) - points[None].astype(np.float32)
    return np.asarray(np.sqrt((offsets**2).sum(axis=2).min(axis=1)), np.float64)


def _pieces_near(volume: Volume, points: Points, reach_mm: float, level: int) -> Pieces | None:
    """What is dense in the box that holds all points and ``reach_mm`` around them."""
    index = volume.to_index(points)
    margin = reach_mm / np.array(volume.spacing_mm)
    low = np.clip(np.floor(index.min(axis=0) - margin), 0, volume.hu.shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0) + margin) + 1, 0, volume.hu.shape).astype(int)
    return _pieces(volume, level, low.tolist(), high.tolist())


def _pieces(
    volume: Volume, level: int, low: Iterable[int], high: Iterable[int]
) -> Pieces | None:
    """Connected pieces of at least ``level`` HU, or of the plateau at the end of the scale."""
    box = volume.hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    voxel_mm3 = float(np.prod(volume.spacing_mm))
    end = _end_of_scale(box, voxel_mm3)
    hot = box >= min(level, end)
    if not hot.any():
        return None
    places = np.argwhere(hot)
    first, last = places.min(axis=0), places.max(axis=0) + 1
    small = hot[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    labels, _ = ndimage.label(small, structure=np.ones((3, 3, 3)))
    of = np.asarray(labels[tuple((places - first).T)], np.intp)
    at_end = np.bincount(of, weights=box[tuple(places.T)] >= end) / np.maximum(
        1, np.bincount(of)
    )
    corner = np.array([*low], int)
    return Pieces(of, volume.to_mm(places + corner), (at_end >= SATURATED_SHARE)[of], voxel_mm3)


def _end_of_scale(box: Hu, voxel_mm3: float) -> int:
    """HU: that of 12 bits, or the plateau of a scale that was cut below ``METAL_HU``."""
    top = int(box.max(initial=-1024))
    plateau = LOWEST_PLATEAU_HU <= top < METAL_HU
    if plateau and int((box == top).sum()) * voxel_mm3 >= METAL_MM3:
        return top
    return SATURATED_HU
