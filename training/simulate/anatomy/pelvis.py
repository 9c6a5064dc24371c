"""Bony pelvis: iliac wing, acetabulum with its joint space, ischium, pubis, sacrum.

Landmarks are mm in the side frame of an average woman (x outwards from the middle, origin at
the middle of the femoral heads) and scale with the body.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from training.simulate.anatomy import arthrosis
from training.simulate.anatomy.frames import pelvis_frame, side_frame
from training.simulate.geometry import texture
from training.simulate.geometry.painting import Layer, Part, coarse
from training.simulate.geometry.shapes import (
    Array,
    Frame,
    Grid,
    box_of,
    capsule,
    coverage,
    ellipsoid,
    polygon,
    smooth_max,
    smooth_min,
    smoothstep,
)
from training.simulate.subject import HipAnatomy, Subject, marrow_enhancement, mineral_contrast

# (y, z) outline of the iliac wing seen from the side, from the anterior spine along the crest.
WING = (
    (-50.0, 84.0), (-44.0, 112.0), (-20.0, 136.0), (14.0, 147.0), (52.0, 138.0),
    (84.0, 116.0), (97.0, 92.0), (88.0, 66.0), (66.0, 56.0), (48.0, 36.0), (34.0, 8.0),
    (-20.0, 4.0), (-34.0, 36.0), (-38.0, 60.0),
)  # fmt: skip
# Points of the wing's middle surface: x as a function of (y, z).
WING_SURFACE = (
    (-48.0, 90.0, 117.0), (-20.0, 130.0, 131.0), (15.0, 145.0, 129.0), (55.0, 136.0, 104.0),
    (97.0, 92.0, 45.0), (85.0, 68.0, 46.0), (60.0, 58.0, 57.0), (45.0, 36.0, 63.0),
    (0.0, 32.0, 77.0), (-32.0, 45.0, 93.0), (10.0, 85.0, 96.0), (-20.0, 85.0, 108.0),
    (50.0, 95.0, 74.0), (10.0, 10.0, 70.0),
)  # fmt: skip
AVERAGE_HALF_DISTANCE = 84.0


@lru_cache(maxsize=1)
def _surface() -> tuple[float, ...]:
    """Return the coefficients of x = Σ cᵢ·(1, y, z, y², yz, z², y²z, yz²), y, z in 100 mm."""
    points = np.array(WING_SURFACE)
    coefficients, *_ = np.linalg.lstsq(_terms(*points[:, :2].T / 100), points[:, 2], rcond=None)
    return tuple(float(value) for value in coefficients)


def _terms(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.stack([y * 0 + 1, y, z, y * y, y * z, z * z, y * y * z, y * z * z], axis=-1)


def hemipelvis_part(subject: Subject, hip: HipAnatomy, kvp: int) -> Part:
    """Return ilium, ischium and pubis of one side with the socket of its femoral head."""
    scale = subject.body.scale
    frame = side_frame(pelvis_frame(subject), hip.side, (0.0, 0.0, 0.0))
    half = subject.body.hip_distance_mm / 2
    box = box_of(
        frame, (0.0, -75 * scale, -100 * scale), (half + 62 * scale, 108 * scale, 155 * scale)
    )

    def paint(grid: Grid, width: float) -> Layer:
        distance = hip_bone(grid, frame, subject, hip)
        hu = _bone_hu(grid, distance, subject, hip, kvp, width)
        if arthrosis.excess(hip):
            x, y, z = frame.local(grid)
            cortex = hip.density.cortex_hu * mineral_contrast(subject, kvp)
            hu = arthrosis.harden(hu, (x - half, y, z), hip, cortex)
        return coverage(distance, width), hu

    return Part(box, paint)


def hip_bone(grid: Grid, frame: Frame, subject: Subject, hip: HipAnatomy) -> Array:
    """Return the signed distance to the hip bone; ``frame`` : side frame of the pelvis."""
    scale = subject.body.scale
    half = subject.body.hip_distance_mm / 2
    # All but the socket is smooth and described for an average pelvis.
    shift = half / scale - AVERAGE_HALF_DISTANCE

    def smooth(thin: Grid) -> Array:
        p = frame.local(thin)
        x, y, z = (axis * (1 / scale) for axis in p)
        q = (x - shift, y, z)
        rods = capsule(q, (70.0, 26.0, -8.0), (57.0, 37.0, -74.0), (15.0, 13.5))  # ischium
        ramus = capsule(q, (60.0, -20.0, -4.0), (15.0 - 0.7 * shift, -46.0, -14.0), (11.5, 8.0))
        pubis = capsule(
            q, (12.0 - shift, -46.0, -16.0), (11.5 - shift, -37.0, -38.0), (8.5, 6.5)
        )
        lower = capsule(q, (13.0 - shift, -34.0, -42.0), (52.0, 26.0, -80.0), (6.0, 7.5))
        rods = smooth_min(rods, ramus, 8.0)
        rods = smooth_min(rods, smooth_min(pubis, lower, 5.0), 5.0)
        socket = _socket(p, half, hip, scale) * (1 / scale)
        return np.stack([x, rods, socket, *_wing_fields(q, subject)])

    x, rods, socket, plate, thickness, edge = coarse(grid, smooth)
    wing = smooth_max(np.abs(plate) - thickness, edge, 6.0)
    d = smooth_min(smooth_min(socket, wing, 12.0), rods, 9.0)
    # Half the gap of the symphysis in the middle of the body.
    d = smooth_max(d, 2.2 - x, 2.0) * scale
    p = frame.local(grid)
    head = np.sqrt((p[0] - half) ** 2 + p[1] ** 2 + p[2] ** 2)
    return np.maximum(d, (hip.head_radius_mm + hip.joint_gap_mm) - head)


def _wing_fields(q: Grid, subject: Subject) -> tuple[Array, Array, Array]:
    """Return three smooth fields of the iliac wing, which is a bent plate.

    The fields are the signed distance from its middle surface, half its thickness, and the
    signed distance to its outline.
    """
    flare = subject.body.pelvis_width
    x, y, z = q[0] * (1 / flare) + (1 - 1 / flare) * 72.0, q[1], q[2]
    c = _surface()
    v, w = y * 0.01, z * 0.01
    surface = c[0] + v * (c[1] + v * (c[3] + w * c[6])) + w * (c[2] + w * (c[5] + v * c[7]))
    surface = surface + v * w * c[4]
    dv = (c[1] + 2 * c[3] * v + c[4] * w + 2 * c[6] * v * w + c[7] * w * w) * 0.01
    dw = (c[2] + c[4] * v + 2 * c[5] * w + c[6] * v * v + 2 * c[7] * v * w) * 0.01
    edge = polygon(y, z, WING)
    # Thick at the crest and above the joint, thin in the iliac fossa.
    half = 2.6 + 3.4 * smoothstep(edge, -14.0, -2.0) + 7.5 * smoothstep(z, 62.0, 22.0)
    half = half + 4.0 * smoothstep(y, 45.0, 80.0)
    return (x - surface) / np.sqrt(1.0 + dv * dv + dw * dw), half, edge


def _socket(p: Grid, half: float, hip: HipAnatomy, scale: float) -> Array:
    """Return the distance to the acetabulum, a cup that opens outwards, down and forwards."""
    x, y, z = p[0] - half, p[1], p[2]
    inner = hip.head_radius_mm + hip.joint_gap_mm
    # Its outside is displaced from the center, so that the rim tapers.
    back = np.sqrt((x + 4.5) ** 2 + (y - 2.0) ** 2 + (z - 5.0) ** 2) - (inner + 7.5 * scale)
    # 45° abduction, 20° anteversion of the opening's normal.
    opening = x * 0.68 - y * 0.30 - z * 0.67 - arthrosis.RIM_MM * arthrosis.excess(hip)
    floor = -(x + inner + 5.0 * scale)
    cup = smooth_max(smooth_max(back, opening, 4.0), floor, 6.0)
    # The fossa in the floor contains fat and no cartilage.
    r = hip.head_radius_mm
    fossa = ellipsoid((x, y, z), (-0.62 * r, 0.08 * r, -0.28 * r), (0.66 * r, 0.5 * r, 0.6 * r))
    return np.maximum(cup, -fossa)


def sacrum_distance(q: Grid) -> Array:
    """Return the distance to the sacrum in mm of an average woman; x is folded to one side."""
    d = ellipsoid(q, (0.0, 44.0, 98.0), (27.0, 18.0, 15.0))
    ala = ellipsoid(q, (32.0, 54.0, 86.0), (27.0, 19.0, 24.0))
    d = smooth_min(d, ala, 8.0)
    d = smooth_min(d, ellipsoid(q, (14.0, 68.0, 62.0), (26.0, 15.0, 26.0)), 8.0)
    d = smooth_min(d, ellipsoid(q, (0.0, 86.0, 28.0), (26.0, 10.0, 22.0)), 8.0)
    d = smooth_min(d, capsule(q, (0.0, 90.0, 10.0), (0.0, 78.0, -22.0), (8.0, 4.0)), 8.0)
    crest = capsule(q, (0.0, 78.0, 92.0), (0.0, 96.0, 50.0), (6.0, 5.0))
    d = smooth_min(d, crest, 6.0)
    canal = capsule(q, (0.0, 66.0, 104.0), (0.0, 84.0, 60.0), (8.0, 5.0))
    foramen = capsule(q, (21.0, 50.0, 78.0), (21.0, 92.0, 70.0), (5.0, 4.0))
    return np.maximum(np.maximum(d, -canal), -foramen)


def sacrum_part(
    subject: Subject, kvp: int, shape: Callable[[Grid], Array] = sacrum_distance
) -> Part:
    """Return sacrum and coccyx, with a narrow gap at the sacroiliac joints.

    ``shape`` : distance in mm of an average woman in the frame of the pelvis, x folded.
    """
    frame = pelvis_frame(subject)
    scale = subject.body.scale
    box = box_of(
        frame, (-64 * scale, 15 * scale, -30 * scale), (64 * scale, 120 * scale, 125 * scale)
    )
    hips = subject.hips

    shift = subject.body.hip_distance_mm / 2 / scale - AVERAGE_HALF_DISTANCE

    def smooth(thin: Grid) -> Array:
        x, y, z = (axis * (1 / scale) for axis in frame.local(thin))
        folded = np.abs(x)
        wing = _wing_fields((folded - shift, y, z), subject)
        return np.stack([shape((folded, y, z)), *wing])

    def paint(grid: Grid, width: float) -> Layer:
        sacrum, plate, thickness, edge = coarse(grid, smooth)
        joint = smooth_max(np.abs(plate) - thickness, edge, 6.0)
        distance = np.maximum(sacrum, 2.4 - joint) * scale
        return coverage(distance, width), _bone_hu(grid, distance, subject, hips[0], kvp, width)

    return Part(box, paint)


def _bone_hu(
    grid: Grid, distance: Array, subject: Subject, hip: HipAnatomy, kvp: int, width: float
) -> Array:
    """Return the HU of flat bone: thin cortex over cancellous bone.

    The cancellous bone is slightly denser than that of the femoral neck.
    """
    bone = hip.density
    grain = texture.noise(grid, subject.seed + 3, 2.2, 1.0)
    grain = grain + texture.noise(grid, subject.seed + 4, 9.0, 1.0)
    mineral = (1.12 * (bone.neck_hu - bone.marrow_hu) + 22.0) * (1.0 + 0.13 * grain)
    core = mineral * mineral_contrast(subject, kvp)
    core = core + bone.marrow_hu + marrow_enhancement(subject, kvp)
    thickness = 1.5 * bone.cortex_scale + 0.35
    share = np.clip((distance + thickness) / (width + 0.9) + 0.5, 0.0, 1.0)
    return np.asarray(
        core + share * (0.86 * bone.cortex_hu * mineral_contrast(subject, kvp) - core)
    )
