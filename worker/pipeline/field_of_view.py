"""Whether head, neck, trochanter and shaft of a femur lie in what was scanned.

Points of the bone are looked up one by one, so that every border counts alike: the end of the
volume, the scanner's round field of view, the corners of a series that was turned upright.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import sphere_directions
from worker.pipeline.results import Femur, PointMm, Reason, ReasonCode, Verdict, Volume
from worker.pipeline.statements import SIDE_WORDS

Points = npt.NDArray[np.float64]

# Inside of bone there is no air: where it is, nothing was measured.
OUTSIDE_HU = -900

# In the coronal plane the whole outline of the head must be there with a rim that shows that
# it is one; in depth more than half, or the plane through its middle is missing.
HEAD_RIM_MM = 2.0
HEAD_DEPTH = 0.45
NECK_RADIUS = 0.7
# From the middle of the trochanters to most of their outer surface. It lies a little beyond the
# point where the axes of neck and shaft meet.
BEYOND_AXES_MM = 10.0
TROCHANTER_RADIUS_MM = 15.0
# From where the axes meet to the lesser trochanter, below which the bone is a tube.
SHAFT_MM = 25.0
SHAFT_RADIUS_MM = 10.0
# Gas in a joint may hide a point of an outline.
MOST = 0.95
# Where the finder does not say where the axes meet.
AXES_MEET_ALONG_NECK = 1.6

EDGE_REACH_MM = 40.0
BONE_HU = 200
TOUCHING = 0.05


def cut_off(volume: Volume, femur: Femur) -> Verdict:
    """The first part of the proximal femur that is not in the field of view."""
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
        if share < MOST:
            text = (
                f"The {SIDE_WORDS[femur.side]} {name} is cut off by the field of view: "
                f"{max(1.0, 100 * (1 - share)):.0f} % of its outline lie outside."
            )
            return Reason(ReasonCode.NO_FEMUR, text)
    return f"In view: {', '.join(f'{name} {100 * s:.0f} %' for name, s in shares.items())}."


def trochanter_at_edge(volume: Volume, femurs: Iterable[Femur]) -> str | None:
    """A warning where a trochanter is in view but for a part of its outer surface."""
    sides = [SIDE_WORDS[femur.side] for femur in femurs if touches_edge(volume, femur)]
    if not sides:
        return None
    what = f"{' and '.join(sides)} trochanter{'s' if len(sides) > 1 else ''}"
    return f"Field of view: it ends inside of the outer part of the {what}."


def touches_edge(volume: Volume, femur: Femur) -> bool:
    """Whether the outer surface of the trochanter is cut off: bone up to the border."""
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
    """Round the head in the coronal plane, just outside of its surface."""
    radius = femur.radius_mm + HEAD_RIM_MM
    return ring(femur.center_mm, np.array([0.0, 1.0, 0.0]), radius)


def head_depth(femur: Femur) -> Points:
    """In front of the centre of the head and behind it."""
    depth = np.array([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    return np.asarray(femur.center_mm + HEAD_DEPTH * femur.radius_mm * depth)


def neck_points(femur: Femur) -> Points:
    """Round the outline of the neck, across its axis."""
    return ring(femur.neck_mm, neck_axis_of(femur), NECK_RADIUS * femur.radius_mm)


def trochanter_points(femur: Femur) -> Points:
    """Round the middle of the trochanters."""
    middle = trochanter_of(femur) + BEYOND_AXES_MM * neck_axis_of(femur)
    return np.asarray(middle + TROCHANTER_RADIUS_MM * sphere_directions(200))


def shaft_points(femur: Femur) -> Points:
    """Round the uppermost shaft."""
    down = np.array(femur.shaft_direction or (0.0, 0.0, -1.0))
    start = trochanter_of(femur)
    levels = np.arange(0.5, 1.01, 0.25) * SHAFT_MM
    rings = [ring(start + level * down, down, SHAFT_RADIUS_MM) for level in levels]
    return np.concatenate(rings)


def neck_axis_of(femur: Femur) -> Points:
    """(3,) unit vector from head to neck."""
    axis = np.array(femur.neck_axis or np.subtract(femur.neck_mm, femur.center_mm))
    return np.asarray(axis / np.linalg.norm(axis))


def trochanter_of(femur: Femur) -> Points:
    """(3,) where the axes of neck and shaft meet, LPS mm; else where they usually do."""
    if femur.trochanter_mm is not None:
        return np.array(femur.trochanter_mm)
    head, neck = np.array(femur.center_mm), np.array(femur.neck_mm)
    return np.asarray(head + AXES_MEET_ALONG_NECK * (neck - head))


def ring(center_mm: PointMm | Points, axis: Points, radius_mm: float) -> Points:
    """(72, 3) points on a circle across an axis."""
    first = np.cross(axis, np.eye(3)[int(np.abs(axis).argmin())])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)[:, None]
    return np.asarray(center_mm + radius_mm * (np.cos(turn) * first + np.sin(turn) * second))


def seen(volume: Volume, points_mm: Points) -> npt.NDArray[np.bool_]:
    """(…) of (…, 3) patient LPS mm: inside of the volume and no air."""
    return np.asarray(_hu(volume, points_mm) > OUTSIDE_HU)


def _hu(volume: Volume, points_mm: Points) -> npt.NDArray[np.int16]:
    """(…) HU of the nearest voxels; the lowest int16 outside of the volume."""
    index = np.rint(volume.to_index(points_mm)).astype(int)
    inside = ((index >= 0) & (index < volume.hu.shape)).all(axis=-1)
    index[~inside] = 0
    values = volume.hu[tuple(np.moveaxis(index, -1, 0))]
    return np.asarray(np.where(inside, values, np.iinfo(np.int16).min))
