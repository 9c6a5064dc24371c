"""Rule for the parts of the proximal femur that must lie in the field of view.

Points on the bone are looked up one by one, so that every border counts: the end of the volume,
the scanner's round field of view, the corners of a resampled oblique series.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import sphere_directions
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.statements import SIDE_WORDS
from worker.pipeline.volume import Femur, PointMm, Volume

Points = npt.NDArray[np.float64]

# Bone holds no air: voxels with air were not measured.
OUTSIDE_HU = -900

# In the coronal plane the whole outline of the head must be in view with a rim around it; in
# depth most of each half, so that the plane through its middle is there.
HEAD_RIM_MM = 2.0
HEAD_DEPTH = 0.45
NECK_RADIUS = 0.7
# The middle of the trochanters lies a little beyond the point where the axes of neck and shaft
# meet; the radius reaches most of their outer surface.
BEYOND_AXES_MM = 10.0
TROCHANTER_RADIUS_MM = 15.0
# From the point where the axes meet to below the lesser trochanter, where the bone is a tube.
SHAFT_MM = 25.0
SHAFT_RADIUS_MM = 10.0
# Gas in a joint may hide a point of an outline.
MIN_SHARE_IN_VIEW = 0.95
# Distance of the point where the axes meet from the head, in distances from head to neck: used
# where the finder did not locate it.
AXES_MEET_ALONG_NECK = 1.6

EDGE_REACH_MM = 40.0
BONE_HU = 200
TOUCHING = 0.05


def cut_off(volume: Volume, femur: Femur) -> RuleResult:
    """Reject a femur with a part outside the field of view; the reason names the first."""
    parts = (
        ("femoral head", head_outline(femur)),
        ("femoral head", head_depth(femur)),
        ("femoral neck", neck_points(femur)),
        ("trochanter", trochanter_points(femur)),
        ("femoral shaft below the trochanter", shaft_points(femur)),
    )
    shares: dict[str, float] = {}
    for name, points in parts:
        share = float(seen(volume, points).mean())
        shares[name] = min(share, shares.get(name, 1.0))
        if share < MIN_SHARE_IN_VIEW:
            text = (
                f"The {SIDE_WORDS[femur.side]} {name} is cut off by the field of view: "
                f"{max(1.0, 100 * (1 - share)):.0f} % of its outline lie outside."
            )
            return Reason(ReasonCode.NO_FEMUR, text)
    return f"In view: {', '.join(f'{name} {100 * s:.0f} %' for name, s in shares.items())}."


def trochanter_warning(volume: Volume, femurs: Iterable[Femur]) -> str | None:
    """Return a warning where a part of the outer surface of a trochanter is out of view."""
    sides = [SIDE_WORDS[femur.side] for femur in femurs if touches_edge(volume, femur)]
    if not sides:
        return None
    what = f"{' and '.join(sides)} trochanter{'s' if len(sides) > 1 else ''}"
    return f"Field of view: it ends inside of the outer part of the {what}."


def touches_edge(volume: Volume, femur: Femur) -> bool:
    """Return whether the bone of the trochanter reaches the border of the field of view."""
    outward = -1.0 if femur.side == "R" else 1.0
    directions = sphere_directions(400)
    directions = directions[directions[:, 0] * outward > 0.5]
    steps = np.arange(1.0, EDGE_REACH_MM)
    rays = trochanter_of(femur) + directions[:, None] * steps[:, None]
    inside = np.logical_and.accumulate(seen(volume, rays), axis=1)
    left = inside.any(axis=1) & ~inside.all(axis=1)
    last = rays[np.arange(len(rays)), np.maximum(0, inside.sum(axis=1) - 2)]
    return bool((left & (_hu(volume, last) > BONE_HU)).mean() > TOUCHING)


def head_outline(femur: Femur) -> Points:
    """Return points around the head in the coronal plane, just outside its surface."""
    radius = femur.radius_mm + HEAD_RIM_MM
    return ring(femur.center_mm, np.array([0.0, 1.0, 0.0]), radius)


def head_depth(femur: Femur) -> Points:
    """Return one point in front of the center of the head and one behind it."""
    depth = np.array([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    return np.asarray(femur.center_mm + HEAD_DEPTH * femur.radius_mm * depth)


def neck_points(femur: Femur) -> Points:
    """Return points around the outline of the neck, across its axis."""
    return ring(femur.neck_mm, neck_axis_of(femur), NECK_RADIUS * femur.radius_mm)


def trochanter_points(femur: Femur) -> Points:
    """Return points around the middle of the trochanters."""
    middle = trochanter_of(femur) + BEYOND_AXES_MM * neck_axis_of(femur)
    return np.asarray(middle + TROCHANTER_RADIUS_MM * sphere_directions(200))


def shaft_points(femur: Femur) -> Points:
    """Return points around the uppermost shaft."""
    down = np.array(femur.shaft_direction or (0.0, 0.0, -1.0))
    start = trochanter_of(femur)
    levels = np.arange(0.5, 1.01, 0.25) * SHAFT_MM
    rings = [ring(start + level * down, down, SHAFT_RADIUS_MM) for level in levels]
    return np.concatenate(rings)


def neck_axis_of(femur: Femur) -> Points:
    """Return the (3,) unit vector from head to neck."""
    axis = np.array(femur.neck_axis or np.subtract(femur.neck_mm, femur.center_mm))
    return np.asarray(axis / np.linalg.norm(axis))


def trochanter_of(femur: Femur) -> Points:
    """Return the (3,) point, LPS mm, where the axes of neck and shaft meet, or usually do."""
    if femur.trochanter_mm is not None:
        return np.array(femur.trochanter_mm)
    head, neck = np.array(femur.center_mm), np.array(femur.neck_mm)
    return np.asarray(head + AXES_MEET_ALONG_NECK * (neck - head))


def ring(center_mm: PointMm | Points, axis: Points, radius_mm: float) -> Points:
    """Return (72, 3) points on a circle at right angles to an axis."""
    first = np.cross(axis, np.eye(3)[int(np.abs(axis).argmin())])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)[:, None]
    return np.asarray(center_mm + radius_mm * (np.cos(turn) * first + np.sin(turn) * second))


def seen(volume: Volume, points_mm: Points) -> npt.NDArray[np.bool_]:
    """Return whether each of (…, 3) patient LPS mm lies inside the volume and is not air."""
    return np.asarray(_hu(volume, points_mm) > OUTSIDE_HU)


def _hu(volume: Volume, points_mm: Points) -> npt.NDArray[np.int16]:
    """Return the (…) HU of the nearest voxels; the lowest int16 outside the volume."""
    index = np.rint(volume.to_index(points_mm)).astype(int)
    inside = ((index >= 0) & (index < volume.hu.shape)).all(axis=-1)
    index[~inside] = 0
    values = volume.hu[tuple(np.moveaxis(index, -1, 0))]
    return np.asarray(np.where(inside, values, np.iinfo(np.int16).min))
