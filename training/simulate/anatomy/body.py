"""Skin, subcutaneous fat, muscle mass and abdominal cavity: the background of all parts."""

import numpy as np

from training.simulate.anatomy.frames import body_frame, thigh_frame
from training.simulate.geometry import texture
from training.simulate.geometry.painting import Layer, Part, coarse, paint
from training.simulate.geometry.shapes import (
    Array,
    Frame,
    Grid,
    coverage,
    ellipsoid,
    smooth_max,
    smooth_min,
    smoothstep,
)
from training.simulate.subject import Subject

AIR_HU = -1000.0
SKIN_MM = 1.8
EVERYWHERE = np.array([[-2000.0, -2000.0, -2000.0], [2000.0, 2000.0, 2000.0]])

# Lean half width (x) and half depth (y) and middle (y) of the torso by height z, mm.
HEIGHT = (-120.0, -60.0, -10.0, 50.0, 110.0, 170.0, 240.0, 320.0, 420.0, 520.0)
HALF_WIDTH = (132.0, 152.0, 161.0, 152.0, 141.0, 130.0, 132.0, 142.0, 150.0, 155.0)
HALF_DEPTH = (80.0, 88.0, 94.0, 95.0, 90.0, 82.0, 88.0, 98.0, 106.0, 110.0)
MIDDLE = (10.0, 12.0, 14.0, 18.0, 16.0, 12.0, 8.0, 4.0, 2.0, 2.0)
# Relative thickness of fat at the sides, and at the front and back.
FAT_SIDE = (1.0, 1.35, 1.35, 1.15, 1.0, 0.85, 0.65, 0.5, 0.45, 0.45)
FAT_FRONT = (0.7, 0.8, 0.95, 1.0, 1.05, 1.0, 0.85, 0.6, 0.5, 0.45)
SQUIRCLE = 0.34


def torso(p: Grid, subject: Subject, lean: bool) -> Array:
    """Return the signed distance to the torso in the body frame, with or without its fat."""
    x, y, z = p
    body = subject.body
    fat = 0.0 if lean else body.fat_mm
    level = z * (1 / body.scale)
    belly = 1.0 + 0.16 * body.visceral * np.exp(-(((level - 190.0) * (1 / 120.0)) ** 2))
    size = body.scale * body.pelvis_width * (0.94 + 0.07 * body.muscle)
    a = _by_height(level, HALF_WIDTH) * (size * (0.5 + 0.5 * belly)) + fat * _by_height(
        level, FAT_SIDE
    )
    b = _by_height(level, HALF_DEPTH) * (body.scale * belly) + fat * _by_height(
        level, FAT_FRONT
    )
    u = (x / a) ** 2
    v = (y - _by_height(level, MIDDLE) * body.scale) / b
    v = v * v
    square = np.maximum(u + v - SQUIRCLE * u * v, 0.02)
    k = np.sqrt(square)
    # The slope along the gradient is the mean of both half axes, weighted by direction.
    return np.asarray((k - 1.0) * (a * u + b * v) / (u + v + 1e-3))


def _by_height(z: Array, values: tuple[float, ...]) -> Array:
    return np.interp(z, HEIGHT, values).astype(np.float32)


def outline(grid: Grid, subject: Subject, lean: bool) -> Array:
    """Return the signed distance to the body, or to its lean mass, in patient coordinates."""
    frame, s = body_frame(subject), subject.body.scale
    p = frame.local(grid)
    fat = 0.0 if lean else subject.body.fat_mm
    d = smooth_max(torso(p, subject, lean), (-62.0 * s - fat * 0.3) - p[2], 40.0)
    bulk = subject.body.muscle * s
    for hip in subject.hips:
        sign = 1.0 if hip.side == "L" else -1.0
        radii = (70 * s + 0.8 * fat, 62 * bulk + fat, 80 * s + 0.5 * fat)
        buttock = ellipsoid(p, (sign * 66 * s, 62 * s, -12 * s), radii)
        d = smooth_min(d, buttock, 30.0)
        d = smooth_min(d, _thigh(thigh_frame(subject, hip), grid, bulk, fat), 30.0)
    # The thighs touch but do not join: between them is air or, between muscles, fat.
    cleft = np.abs(p[0]) - (1.3 if not lean else 7.0 + 0.25 * subject.body.fat_mm)
    top = (-96.0 if not lean else -78.0) * s
    d = smooth_max(d, -smooth_max(cleft, p[2] - top, 12.0), 6.0)
    back, support = support_mm(subject)
    return smooth_max(d, (grid[1] - back) * support, 14.0)


def support_mm(subject: Subject) -> tuple[float, float]:
    """Return y of the table's top in patient mm, and +1 for supine or −1 for prone.

    The tissue on the table is flattened by 1 cm or more.
    """
    body, y = subject.body, subject.pose.position_mm[1]
    if subject.pose.prone:
        return y - (62.0 * body.scale + 0.85 * body.fat_mm), -1.0
    return y + 109.0 * body.scale + 0.9 * body.fat_mm, 1.0


def _thigh(frame: Frame, grid: Grid, bulk: float, fat: float) -> Array:
    """Return the distance to the thigh, a cone medial to and behind the femoral shaft."""
    x, y, z = frame.local(grid)
    radius = 74.0 * bulk + fat * 1.1 + np.minimum(z + 120.0, 0.0) * 0.10
    away = np.sqrt((x + 2.0) ** 2 + (y - 12.0) ** 2 + np.maximum(z + 25.0, 0.0) ** 2)
    return np.asarray(away - radius)


def body_parts(subject: Subject, muscles: list[Part]) -> list[Part]:
    """Return the table, skin and fat, muscle, and the fat of the abdominal cavity.

    ``muscles`` : parts that paint the share of fat 0–1 within the muscle mass.
    """
    body = subject.body
    seed = subject.seed

    def skin(grid: Grid, width: float) -> Layer:
        distance = coarse(grid, lambda g: outline(g, subject, lean=False))
        strands = texture.noise(grid, seed + 21, 5.0, 1.2)
        fat = body.fat_hu + 3.5 * strands + 22.0 * smoothstep(strands, 1.7, 2.6)
        edge = np.clip((distance + SKIN_MM) / max(width, 1.0) + 0.5, 0.0, 1.0)
        return coverage(distance, width), np.asarray(fat + edge * (10.0 - fat))

    def muscle(grid: Grid, width: float) -> Layer:
        distance = coarse(grid, lambda g: outline(g, subject, lean=True))
        return coverage(distance, width), _muscle_hu(grid, subject, muscles, width)

    def cavity(grid: Grid, width: float) -> Layer:
        distance = coarse(grid, lambda g: abdominal_cavity(g, subject))
        strands = texture.noise(grid, seed + 23, 4.0, 1.1)
        fat = body.fat_hu - 2.0 + 6.0 * strands + 60.0 * smoothstep(strands, 1.2, 2.2)
        return coverage(distance, width), fat

    return [
        table_part(subject),
        Part(EVERYWHERE, skin),
        Part(EVERYWHERE, muscle),
        Part(EVERYWHERE, cavity),
    ]


def table_part(subject: Subject) -> Part:
    """Return the table: a curved carbon shell filled with foam, under the patient."""
    top, side = support_mm(subject)
    x_middle = subject.pose.position_mm[0] * 0.3
    box = EVERYWHERE.copy()
    box[:, 1] = sorted((top - 75.0 * side, top + 75.0 * side))

    def paint(grid: Grid, width: float) -> Layer:
        x = grid[0] - x_middle
        depth = (grid[1] - top) * side + 0.0011 * x * x - 3.0
        slab = np.maximum(np.maximum(-depth, depth - 42.0), np.abs(x) - 225.0)
        shell = np.clip((slab + 1.6) / (width + 0.3) + 0.5, 0.0, 1.0)
        hu = np.broadcast_to(
            -920.0 + shell * 880.0, np.broadcast_shapes(*(a.shape for a in grid))
        )
        return np.broadcast_to(coverage(slab, width), hu.shape), hu

    return Part(box, paint)


def _muscle_hu(grid: Grid, subject: Subject, muscles: list[Part], width: float) -> Array:
    """Return the HU of muscle with fat between and inside its bellies, which rises with age."""
    body = subject.body
    ridge = texture.noise(grid, subject.seed + 22, 6.0, 1.3)
    between = np.zeros_like(ridge)
    paint(between, grid, muscles, width)
    # Sheaths are thin or missing in places.
    between *= np.clip(0.75 + 0.35 * ridge, 0.2, 1.0)
    strand = smoothstep(np.abs(ridge), 0.04 + 0.22 * body.muscle_fat, 0.0)
    strand *= 0.25 + 0.6 * body.muscle_fat
    fat = np.maximum(between, strand)
    meat = texture.noise(grid, subject.seed + 24, 2.0, 1.0)
    meat *= 4.0
    meat += body.muscle_hu
    meat += fat * (body.fat_hu + 5.0 - meat)
    return meat


def abdominal_cavity(grid: Grid, subject: Subject) -> Array:
    """Return the signed distance to the space inside abdominal wall and pelvic ring."""
    frame, s = body_frame(subject), subject.body.scale
    p = frame.local(grid)
    wall = 15.0 + 5.0 * subject.body.muscle
    belly = torso(p, subject, lean=True) + wall
    # Spine and back muscles are behind the cavity.
    back = p[1] - (42.0 * s - 0.03 * np.abs(p[0] * (p[0] * 0.012)))
    belly = smooth_max(belly, back, 15.0)
    upper = smooth_max(belly, 95.0 * s - p[2], 30.0)
    lower = ellipsoid(p, (0.0, 14.0 * s, 40.0 * s), (58.0 * s, 52.0 * s, 70.0 * s))
    false_pelvis = ellipsoid(p, (0.0, -12.0 * s, 95.0 * s), (100.0 * s, 55.0 * s, 60.0 * s))
    return smooth_min(smooth_min(upper, lower, 15.0), false_pelvis, 20.0)
