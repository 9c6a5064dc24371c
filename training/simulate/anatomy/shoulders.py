"""Shoulder girdle, which resembles a hip most of all regions.

A humeral head is a sphere of trabecular bone as large as a femoral head, in a shallower
socket, with a shaft below it (or above, with raised arms). Landmarks are mm in the side frame
of an average woman, x outwards, and scale with the body.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from training.simulate.anatomy.body import AIR_HU
from training.simulate.anatomy.frames import body_frame, side_frame
from training.simulate.anatomy.plain_bone import plain_bone
from training.simulate.anatomy.trunk import rib_part
from training.simulate.geometry import texture
from training.simulate.geometry.painting import Layer, Part
from training.simulate.geometry.shapes import (
    Array,
    Frame,
    Grid,
    Matrix,
    Point,
    box_of,
    capsule,
    coverage,
    ellipsoid,
    gaussian,
    polygon,
    smooth_max,
    smooth_min,
    smoothstep,
)
from training.simulate.subject import HipAnatomy, Subject, mineral_contrast

FROM_MM = 425.0
"""Lower end of the girdle above the hips, mm of an average woman."""
JOINT: Point = (152.0, 14.0, 532.0)
LUNG: tuple[Point, Point] = ((62.0, 8.0, 450.0), (60.0, 84.0, 122.0))
MASS: tuple[Point, Point] = ((0.0, 8.0, 505.0), (222.0, 98.0, 112.0))
ARM_MM = (56.0, 44.0)
HEAD, GAP_MM = 1.02, 4.0
"""Radius of the humeral head relative to the femoral one, and thickness of its cartilage."""
# Upper ribs: height at the back, half width and half depth of the chest there.
RIBS = (
    (484, 122, 87),
    (512, 116, 84),
    (538, 107, 79),
    (562, 94, 72),
    (584, 74, 60),
    (602, 50, 44),
)


def shoulder_parts(subject: Subject, kvp: int) -> tuple[list[Part], list[Part]]:
    """Return soft parts and bones of both shoulders, upper ribs and upper spine."""
    body, s = body_frame(subject), subject.body.scale
    soft = [_air(body, s), _flesh(subject, body, s)]
    bones = [
        rib_part(subject, kvp, back * s, -75.0 * s, (a * s, b * s, 10.0 * s))
        for back, a, b in RIBS
    ]
    bones.append(plain_bone(subject, body, ((-40, 0, 395), (40, 90, 700)), _spine, kvp))
    for hip in subject.hips:
        frame = side_frame(body, hip.side, (0.0, 0.0, 0.0))
        shape = partial(_scapula, socket=(HEAD * hip.head_radius_mm + GAP_MM) / s)
        bones.append(plain_bone(subject, frame, ((0, -105, 420), (205, 115, 585)), shape, kvp))
        bones.append(_humerus(subject, frame, hip, kvp))
    return soft, bones


def _box(frame: Frame, s: float, low: tuple[float, ...], high: tuple[float, ...]) -> Matrix:
    return box_of(frame, [v * s for v in low], [v * s for v in high])


def _outline(p: Grid, s: float) -> Array:
    """Return the distance to shoulders and neck, mm of an average woman."""
    q = (p[0] * (1 / s), p[1] * (1 / s), p[2] * (1 / s))
    neck = capsule(q, (0.0, 18.0, 540.0), (0.0, 14.0, 760.0), (66.0, 58.0))
    return smooth_min(ellipsoid(q, *MASS), neck, 25.0)


def _air(frame: Frame, s: float) -> Part:
    """Return the air above the shoulders, where the trunk of ``body`` would continue."""

    def paint(grid: Grid, width: float) -> Layer:
        p = frame.local(grid)
        above = smooth_max(500.0 * s - p[2], -_outline(p, s) * s, 5.0)
        return coverage(above, width), AIR_HU

    return Part(_box(frame, s, (-600, -400, 495), (600, 400, 1200)), paint)


def _flesh(subject: Subject, frame: Frame, s: float) -> Part:
    """Return muscle and fat around the tops of the lungs and the upper arms."""
    body = subject.body
    elbow = elbow_mm(subject)

    def paint(grid: Grid, width: float) -> Layer:
        p = frame.local(grid)
        q = (np.abs(p[0]) * (1 / s), p[1] * (1 / s), p[2] * (1 / s))
        lung = ellipsoid(q, *LUNG)
        mass = smooth_max(_outline(p, s), 455.0 - q[2], 10.0)
        arm = capsule(q, JOINT, (elbow / s).tolist(), ARM_MM)
        flesh = np.minimum(np.maximum(mass, -lung), arm)
        ridge = texture.noise(grid, subject.seed + 61, 7.0, 1.3)
        fat = smoothstep(np.abs(ridge), 0.12 + 0.3 * body.muscle_fat, 0.0)
        hu = body.muscle_hu + fat * (body.fat_hu - body.muscle_hu)
        return coverage(flesh * s, width), np.asarray(hu)

    return Part(_box(frame, s, (-290, -110, 400), (290, 120, 800)), paint)


def _spine(q: Grid) -> Array:
    column = capsule(q, (0.0, 49.0, 402.0), (0.0, 26.0, 700.0), (15.0, 11.0))
    disc = 4.0 * smoothstep(np.abs(np.sin(q[2] * (np.pi / 26.0))), 0.25, 0.0)
    arch = capsule(q, (0.0, 78.0, 402.0), (0.0, 56.0, 700.0), (7.0, 6.0))
    return np.minimum(column + disc, arch)


def _scapula(q: Grid, socket: float) -> Array:
    """Return the distance to glenoid, neck, blade, spine, acromion, coracoid and clavicle."""
    jx, jy, jz = JOINT
    # The blade's plane extends backwards and inwards from the joint along the ribs.
    along = (q[0] - jx) * -0.62 + (q[1] - jy) * 0.78
    across = (q[0] - jx) * 0.78 + (q[1] - jy) * 0.62
    corners = (
        (24.0, 6.0),
        (100.0, 40.0),
        (96.0, -50.0),
        (84.0, -102.0),
        (72.0, -92.0),
        (26.0, -16.0),
    )
    blade = smooth_max(np.abs(across) - 1.8, polygon(along, q[2] - jz, corners), 2.0)
    lateral = capsule(q, (jx - 22, jy + 22, jz - 14), (jx - 62, jy + 66, jz - 98), (6.0, 4.0))
    spine = capsule(q, (jx - 62, jy + 80, jz + 24), (jx + 2, jy + 34, jz + 34), (4.0, 6.0))
    acromion = ellipsoid(q, (jx + 10, jy + 8, jz + 40), (17.0, 27.0, 6.0))
    coracoid = capsule(q, (jx - 22, jy - 4, jz + 16), (jx - 16, jy - 36, jz + 14), (7.0, 6.0))
    inner = capsule(q, (20.0, -78.0, 528.0), (74.0, -66.0, 548.0), (10.0, 6.5))
    outer = capsule(q, (74.0, -66.0, 548.0), (jx + 2, jy - 14, jz + 44), (6.5, 7.0))
    d = smooth_min(smooth_min(blade, lateral, 4.0), smooth_min(spine, acromion, 5.0), 4.0)
    d = smooth_min(d, smooth_min(_glenoid(q, socket), coracoid, 5.0), 6.0)
    return np.minimum(d, smooth_min(inner, outer, 6.0))


def _glenoid(q: Grid, socket: float) -> Array:
    """Return the distance to a shallow cup of radius ``socket``, mm of an average woman."""
    jx, jy, jz = JOINT
    cup = ellipsoid(q, (jx - 27.0, jy + 10.0, jz), (12.0, 14.0, 20.0))
    ball = np.sqrt((q[0] - jx) ** 2 + (q[1] - jy) ** 2 + (q[2] - jz) ** 2)
    return np.asarray(np.maximum(cup, socket - ball))


def elbow_mm(subject: Subject) -> Matrix:
    """Return the lower end of the humerus in side frame mm, of raised or hanging arms.

    For hanging arms it is where ``arms`` continues.
    """
    s = subject.body.scale
    if subject.pose.arms_down:
        return np.array([185.0 * s + 0.5 * subject.body.fat_mm, 20.0, 440.0 * s])
    return np.asarray((np.array(JOINT) + np.array([70.0, -10.0, 210.0])) * s)


@dataclass(frozen=True, slots=True)
class _Humerus:
    """Landmarks of a humerus in side frame mm.

    ``neck`` : start of the neck. ``axis``, ``outwards`` : unit vectors along the shaft and
    perpendicular to it.
    """

    joint: Matrix
    end: Matrix
    neck: Matrix
    head_radius_mm: float
    axis: Matrix
    outwards: Matrix


def _humerus(subject: Subject, frame: Frame, hip: HipAnatomy, kvp: int) -> Part:
    """Return head, tuberosities and shaft; the head is as large as the femoral one."""
    s = subject.body.scale
    r = HEAD * hip.head_radius_mm
    joint = np.array(JOINT) * s
    end = elbow_mm(subject)
    axis = (end - joint) / np.linalg.norm(end - joint)
    outwards = np.array([1.0, 0.0, 0.0]) - axis[0] * axis
    outwards /= np.linalg.norm(outwards)
    neck = joint + 0.35 * r * axis + 0.32 * r * outwards
    humerus = _Humerus(joint, end, neck, r, axis, outwards)
    contrast = mineral_contrast(subject, kvp)
    cortex = hip.density.cortex_hu * contrast
    box = np.sort(np.array([joint, end]), axis=0) + np.array([[-1.0], [1.0]]) * 1.9 * r

    def paint(grid: Grid, width: float) -> Layer:
        p = frame.local(grid)
        distance = _humerus_outline(p, humerus)
        x, y, z = (p[i] - float(joint[i]) for i in range(3))
        down = x * float(axis[0]) + y * float(axis[1]) + z * float(axis[2])
        thick = (0.9 + 3.2 * smoothstep(down, 1.2 * r, 3.5 * r)) * hip.density.cortex_scale
        grain = texture.noise(grid, subject.seed + 62, 2.5, 1.0)
        head = gaussian((x, y, z), (-0.15 * r, 0.1 * r, 0.1 * r), (r, r, r))
        mineral = (hip.density.neck_hu - hip.density.marrow_hu) * (0.35 + 0.9 * head)
        mineral = mineral * smoothstep(down, 2.6 * r, 0.8 * r) * (1.0 + 0.15 * grain)
        core = hip.density.marrow_hu + mineral * contrast
        shell = np.clip((distance + thick) / (width + 0.8) + 0.5, 0.0, 1.0)
        return coverage(distance, width), np.asarray(core + shell * (cortex - core))

    return Part(box_of(frame, box[0], box[1]), paint)


def _humerus_outline(p: Grid, humerus: _Humerus) -> Array:
    joint, r = humerus.joint, humerus.head_radius_mm
    axis, outwards = humerus.axis, humerus.outwards
    x, y, z = (p[i] - float(joint[i]) for i in range(3))
    head = np.sqrt(x * x + y * y + z * z) - r
    waist = humerus.neck + 1.3 * r * axis
    upper = capsule(p, humerus.neck.tolist(), waist.tolist(), (0.8 * r, 12.5))
    shaft = capsule(p, waist.tolist(), humerus.end.tolist(), (12.5, 11.5))
    greater = joint + 0.85 * r * outwards + 0.25 * r * axis
    lesser = joint + 0.5 * r * outwards + 0.45 * r * axis + np.array([0.0, -0.62 * r, 0.0])
    d = smooth_min(smooth_min(head, upper, 4.0), shaft, 6.0)
    d = smooth_min(d, ellipsoid(p, greater.tolist(), (0.5 * r, 0.62 * r, 0.62 * r)), 4.0)
    return smooth_min(d, ellipsoid(p, lesser.tolist(), (0.32 * r, 0.32 * r, 0.45 * r)), 4.0)
