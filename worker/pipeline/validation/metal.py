"""Detection of metal in or at a hip.

Metal is denser than any tissue, and reaches the end of the scanner's scale. Contrast medium in
bladder or bowel can be as dense as a thin screw, but it lies beside the femur and does not
reach the end of the scale; calcified vessels and hard cortex are less dense.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.statements import SIDE_WORDS
from worker.pipeline.validation.field_of_view import Points, neck_axis_of, trochanter_of
from worker.pipeline.volume import AIR_HU, Box, Femur, Side, Volume

Hu = npt.NDArray[np.int16]

# Cortical bone stays under 1,700 HU in our real and simulated volumes, and under about 2,000
# with sharp kernels; titanium and steel begin beyond 3,000 and lose little to partial volume.
METAL_HU = 2200
METAL_MM3 = 150.0
# Scales of 12 bits end at 3,071 HU: a large part of metal reaches the end, but only noise of
# dense contrast medium does.
SATURATED_HU = 3000
SATURATED_SHARE = 0.2
# In a scale that was cut lower metal is a plateau at its end, which bone never is.
LOWEST_PLATEAU_HU = 1500
# Trabecular bone around the axis of head and neck, dense islands included, stays under
# 1,300 HU: a lower limit there finds thin screws diluted by thick slices.
CORE_HU = 1600
CORE_MM = 8.0
CORE_MM3 = 100.0

# Radii of the tube around the axes in which metal is in the bone or on it, and of the sphere
# around the head in which it lies at the joint: the bladder is 45 mm and more away.
BONE_MM = 25.0
JOINT_MM = 35.0
# Half of a crop, in which the model would see the metal.
SHAFT_MM = 120.0

PROSTHESIS_MM3 = 500.0
MIDLINE_MM = 50.0
HIP_HEIGHT_MM = 80.0
# Without the other hip: as far as a stem lies from the midline, nearer than shoulders and arms.
FARTHEST_MM = 130.0
# Lungs end 250 mm and more above the hips of adults; half of it for a bent spine.
LUNG_HU, LUNG_MM, LUNG_MM3, BELOW_LUNG_MM = (-930, -500), 6.0, 5000.0, 120.0
# Bone in a layer around a piece, beyond the voxels that it shares. Simulated prostheses have
# 10–40 %, barium in the bowel none.
AROUND_HU, AROUND_MM, AROUND_VOXELS, MIN_BONE_AROUND = 250, 6.0, 1.5, 0.05
BODY_HU = -300
# 0034: shares of a border without air, and with soft tissue, from which it lies inside of the
# body: cut lungs have ribs beside them, foam has not.
BORDER_IN_BODY, BORDER_WITH_BODY = 0.9, 0.2


@dataclass(frozen=True, slots=True)
class Pieces:
    """Connected pieces of dense voxels, numbered from 1.

    ``labels`` : (n,) number of each voxel's piece. ``position_mm`` : (n, 3) patient LPS.
    ``saturated`` : (n,) whether the voxel's piece reaches the end of the scale.
    """

    labels: npt.NDArray[np.intp]
    position_mm: Points
    saturated: npt.NDArray[np.bool_]
    voxel_mm3: float

    def mm3(self) -> npt.NDArray[np.float64]:
        """Return the (pieces + 1,) volumes by number; number 0 has none."""
        return np.asarray(np.bincount(self.labels, minlength=1) * self.voxel_mm3)

    def largest_mm3(self, chosen: npt.NDArray[np.bool_]) -> float:
        """Return the volume of the largest piece with one of the chosen voxels, 0 for none."""
        touched = np.unique(self.labels[chosen])
        return float(self.mm3()[touched].max()) if len(touched) else 0.0


def metal_at_hip(volume: Volume, femur: Femur) -> RuleResult:
    """Reject a hip with a prosthesis, nail, plate or screw in the bone or at the joint."""
    core, implant = _core_mm3(volume, femur), _implant_mm3(volume, femur)
    if core < CORE_MM3 and implant < METAL_MM3:
        return (
            f"Largest dense piece: {core / 1000:.2f} ml inside of head and neck, "
            f"{implant / 1000:.2f} ml in the bone or at the joint."
        )
    found = max(core if core >= CORE_MM3 else 0.0, implant if implant >= METAL_MM3 else 0.0)
    text = f"{found / 1000:.1f} ml of metal at the {SIDE_WORDS[femur.side]} hip."
    return Reason(ReasonCode.METAL, text)


def metal_in_place_of_hip(volume: Volume, side: Side, found: Iterable[Femur]) -> Reason | None:
    """Return a reason where a side without a femur has a prosthesis, otherwise None.

    The metal lies far enough from the midline. If the other hip is found, at the height of that
    one; otherwise in bone and below the lungs, where only a hip is.
    """
    pieces = _pieces(volume, METAL_HU, (slice(None), slice(None), slice(None)))
    if pieces is None:
        return None
    across = pieces.position_mm[:, 0] - midline_mm(volume)
    outward = across if side == "L" else -across
    near = outward > MIDLINE_MM
    femurs = tuple(found)
    for femur in femurs:
        near &= np.abs(pieces.position_mm[:, 2] - femur.center_mm[2]) < HIP_HEIGHT_MM
    if not femurs:
        near &= (outward < FARTHEST_MM) & (pieces.position_mm[:, 2] < hips_below_mm(volume))
    near &= pieces.saturated
    largest = pieces.largest_mm3(near)
    if largest < PROSTHESIS_MM3 or not (femurs or _in_bone(volume, pieces, near)):
        return None
    text = f"{largest / 1000:.0f} ml of metal in place of the {SIDE_WORDS[side]} hip."
    return Reason(ReasonCode.METAL, text)


def hips_below_mm(volume: Volume) -> float:
    """Return the highest z that a hip may have, patient LPS mm: below the lungs, if in view."""
    step = np.maximum(1, np.rint(LUNG_MM / np.array(volume.spacing_mm))).astype(int)
    hu = volume.hu[tuple(slice(n // 2, None, n) for n in step.tolist())]
    lung = (hu > LUNG_HU[0]) & (hu < LUNG_HU[1])
    for level in range(hu.shape[1]):
        # Foam of a table or a cushion is as dense as a lung, but no body encloses it.
        lung[:, level] &= _enclosed(hu[:, level])
    # The edge of gas is as dense as a lung in one voxel; a lung is so all around.
    lung = ndimage.binary_erosion(lung)
    cut_mm3 = lung.sum(axis=(0, 2)) * float(np.prod(step * volume.spacing_mm))
    levels = np.flatnonzero(cut_mm3 > LUNG_MM3)
    if not len(levels):
        return np.inf
    row = float(levels[-1] * step[1] + step[1] // 2)
    return float(volume.to_mm((0.0, row, 0.0))[2]) - BELOW_LUNG_MM


def _enclosed(section: Hu) -> npt.NDArray[np.bool_]:
    """Return the mask of (slices, columns) that the body encloses.

    A border of the field of view with soft tissue and no air closes it, too.
    """
    body = np.pad(section > BODY_HU, 1)
    inside = slice(1, -1)
    borders: list[tuple[int | slice, int | slice]]
    borders = [(0, inside), (-1, inside), (inside, 0), (inside, -1)]
    edges = (section[0], section[-1], section[:, 0], section[:, -1])
    for border, edge in zip(borders, edges, strict=True):
        no_air = (edge > LUNG_HU[0]).mean() >= BORDER_IN_BODY
        body[border] = no_air and (edge > BODY_HU).mean() >= BORDER_WITH_BODY
    return np.asarray(ndimage.binary_fill_holes(body)[inside, inside])


def _in_bone(volume: Volume, pieces: Pieces, chosen: npt.NDArray[np.bool_]) -> bool:
    """Return whether bone surrounds the largest of the chosen pieces, as it does an implant."""
    counts = np.bincount(pieces.labels[chosen], minlength=1)
    metal = pieces.position_mm[pieces.labels == counts.argmax()]
    start_mm = AROUND_VOXELS * max(volume.spacing_mm)
    box = volume.box_around(metal, start_mm + AROUND_MM)
    hu = volume.hu[box]
    index = np.rint(volume.to_index(metal)).astype(int) - [axis.start for axis in box]
    outside = np.ones(hu.shape, bool)
    outside[tuple(index.T)] = False
    far = ndimage.distance_transform_edt(outside, sampling=volume.spacing_mm)
    shell = (far > start_mm) & (far <= start_mm + AROUND_MM)
    bone = hu[shell] > AROUND_HU
    return bool(bone.size and bone.mean() >= MIN_BONE_AROUND)


def midline_mm(volume: Volume) -> float:
    """Return x of the middle of the body, patient LPS.

    0, the middle of the scanner, where a side of the body is cut off.
    """
    body = volume.hu[:: max(1, len(volume.hu) // 24), ::8] > BODY_HU
    columns = np.flatnonzero(body.any(axis=(0, 1)))
    if not len(columns) or columns[0] == 0 or columns[-1] == body.shape[2] - 1:
        return 0.0
    middle = np.array(volume.hu.shape) / 2
    middle[2] = (columns[0] + columns[-1]) / 2
    return float(volume.to_mm(middle)[0])


def _core_mm3(volume: Volume, femur: Femur) -> float:
    """Return the largest dense volume within the trabecular bone of head or neck."""
    head = np.array(femur.center_mm)
    axis = np.linspace(head, np.array(femur.neck_mm), 6)
    pieces = _pieces_near(volume, axis, CORE_MM, CORE_HU)
    if pieces is None:
        return 0.0
    # Only the part in the core counts: dense cortex may be connected with it.
    inside = distances_mm(pieces.position_mm, axis) <= CORE_MM
    counts = np.bincount(pieces.labels[inside], minlength=1) * pieces.voxel_mm3
    return float(counts.max())


def _implant_mm3(volume: Volume, femur: Femur) -> float:
    """Return the volume of the largest piece of metal in the bone, on it, or at the joint."""
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
    """Return the (n,) distances of (n, 3) positions to the nearest of (m, 3) points."""
    # (positions, points, xyz)
    offsets = positions[:, None].astype(np.float32) - points[None].astype(np.float32)
    return np.asarray(np.sqrt((offsets**2).sum(axis=2).min(axis=1)), np.float64)


def _pieces_near(volume: Volume, points: Points, reach_mm: float, level: int) -> Pieces | None:
    """Return the dense pieces in the box that encloses all points by ``reach_mm``."""
    return _pieces(volume, level, volume.box_around(points, reach_mm))


def _pieces(volume: Volume, level: int, box: Box) -> Pieces | None:
    """Return the connected pieces of a box with at least ``level`` HU.

    Where the scale was cut below, those at the end of the scale. None where there are none.
    """
    hu = volume.hu[box]
    voxel_mm3 = float(np.prod(volume.spacing_mm))
    end = _end_of_scale(hu, voxel_mm3)
    dense = hu >= min(level, end)
    if not dense.any():
        return None
    # Voxels as indices into the box; only the part that holds them is labeled.
    voxels = np.argwhere(dense)
    first, last = voxels.min(axis=0), voxels.max(axis=0) + 1
    part = dense[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    numbered, _ = ndimage.label(part, structure=np.ones((3, 3, 3)))
    labels = np.asarray(numbered[tuple((voxels - first).T)], np.intp)
    at_end = np.bincount(labels, weights=hu[tuple(voxels.T)] >= end)
    share_at_end = at_end / np.maximum(1, np.bincount(labels))
    corner = np.array([axis.start or 0 for axis in box], int)
    saturated = (share_at_end >= SATURATED_SHARE)[labels]
    return Pieces(labels, volume.to_mm(voxels + corner), saturated, voxel_mm3)


def _end_of_scale(hu: Hu, voxel_mm3: float) -> int:
    """Return the HU at which the scale ends.

    ``SATURATED_HU`` for 12 bits, or the plateau of a scale that was cut below ``METAL_HU``.
    """
    top = int(hu.max(initial=AIR_HU))
    plateau = LOWEST_PLATEAU_HU <= top < METAL_HU
    if plateau and int((hu == top).sum()) * voxel_mm3 >= METAL_MM3:
        return top
    return SATURATED_HU
