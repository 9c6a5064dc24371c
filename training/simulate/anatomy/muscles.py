"""Muscles of hip, thigh and back, each in a sheath of fat, and pockets of fat.

The parts paint the share of fat: 1 in a pocket or a sheath, 0 inside a belly.
"""

from collections.abc import Sequence

from training.simulate.anatomy.frames import body_frame, side_frame, thigh_frame
from training.simulate.geometry.painting import Layer, Part, coarse
from training.simulate.geometry.shapes import (
    Frame,
    Grid,
    Point,
    box_of,
    box_of_points,
    coverage,
    ellipsoid,
    spindle,
)
from training.simulate.subject import HipAnatomy, Subject

Belly = tuple[Point, Point, float, float, float]
"""Start, end, radius in the middle and at the ends, sheath; mm of an average woman."""

# Side frame of the body: x outwards from the middle, hip center at (84, 0, 0).
PELVIC: tuple[Belly, ...] = (
    ((46.0, 88.0, 92.0), (128.0, 44.0, -62.0), 33.0, 14.0, 2.0),  # gluteus maximus
    ((66.0, 92.0, 40.0), (126.0, 48.0, -90.0), 30.0, 12.0, 1.5),
    ((104.0, 54.0, 118.0), (131.0, 20.0, 10.0), 25.0, 8.0, 1.8),  # gluteus medius
    ((126.0, -22.0, 112.0), (133.0, 6.0, 8.0), 21.0, 8.0, 1.8),
    ((104.0, 0.0, 86.0), (124.0, 0.0, 4.0), 15.0, 6.0, 1.5),  # gluteus minimus
    ((118.0, -46.0, 78.0), (134.0, -22.0, -70.0), 13.0, 5.0, 1.8),  # tensor fasciae latae
    ((34.0, 20.0, 225.0), (72.0, -30.0, 18.0), 22.0, 12.0, 1.8),  # psoas
    ((96.0, -8.0, 112.0), (78.0, -31.0, 15.0), 21.0, 15.0, 1.2),  # iliacus
    ((75.0, -31.0, 22.0), (92.0, 2.0, -52.0), 16.0, 9.0, 1.8),  # iliopsoas
    ((30.0, 66.0, 62.0), (120.0, 26.0, 8.0), 14.0, 5.0, 1.5),  # piriformis
    ((58.0, 40.0, -48.0), (108.0, 32.0, -34.0), 11.0, 9.0, 1.5),  # quadratus femoris
    ((28.0, -20.0, -36.0), (104.0, 26.0, -16.0), 12.0, 6.0, 1.5),  # obturator externus
    ((18.0, -50.0, -8.0), (84.0, -4.0, -64.0), 14.0, 8.0, 1.8),  # pectineus
    ((30.0, 66.0, 120.0), (34.0, 60.0, 330.0), 27.0, 20.0, 1.5),  # erector spinae
    ((62.0, 52.0, 140.0), (52.0, 50.0, 270.0), 20.0, 12.0, 1.2),  # quadratus lumborum
)
# Thigh frame: head center at the origin, z up along the shaft, x outwards.
THIGH: tuple[Belly, ...] = (
    ((22.0, -48.0, 55.0), (12.0, -62.0, -290.0), 19.0, 8.0, 1.8),  # rectus femoris
    ((34.0, -48.0, 82.0), (-38.0, -52.0, -200.0), 10.0, 6.0, 1.5),  # sartorius
    ((50.0, -6.0, -42.0), (30.0, -22.0, -300.0), 30.0, 14.0, 1.5),  # vastus lateralis
    ((26.0, -28.0, -50.0), (24.0, -36.0, -300.0), 25.0, 14.0, 1.2),  # vastus intermedius
    ((-66.0, -38.0, -38.0), (0.0, -4.0, -210.0), 24.0, 9.0, 1.8),  # adductor longus
    ((-62.0, -18.0, -46.0), (8.0, 10.0, -190.0), 26.0, 10.0, 1.8),  # adductor brevis
    ((-38.0, 26.0, -80.0), (4.0, 22.0, -330.0), 33.0, 18.0, 1.8),  # adductor magnus
    ((-72.0, -10.0, -48.0), (-50.0, 6.0, -280.0), 13.0, 7.0, 1.8),  # gracilis
    ((-28.0, 42.0, -78.0), (6.0, 64.0, -320.0), 27.0, 12.0, 2.0),  # hamstrings
)
POCKETS: tuple[tuple[Point, Point], ...] = (
    ((27.0, 56.0, -38.0), (19.0, 30.0, 32.0)),  # ischioanal fossa
    ((56.0, -56.0, -12.0), (24.0, 17.0, 40.0)),  # femoral triangle
    ((0.0, 4.0, -86.0), (17.0, 46.0, 30.0)),  # perineum
    ((92.0, 46.0, 14.0), (13.0, 16.0, 30.0)),  # behind the joint
    ((46.0, 8.0, -30.0), (9.0, 14.0, 12.0)),  # obturator foramen
    ((108.0, -34.0, 14.0), (9.0, 9.0, 26.0)),  # between tensor and iliopsoas
)


def muscle_parts(subject: Subject) -> list[Part]:
    """Return the pockets of fat, then the muscles around them."""
    s = subject.body.scale
    sides = [
        (hip, side_frame(body_frame(subject), hip.side, (0.0, 0.0, 0.0)))
        for hip in subject.hips
    ]
    parts = [_pocket(subject, frame, *pocket) for _, frame in sides for pocket in POCKETS]
    for hip, frame in sides:
        shift = subject.body.hip_distance_mm / 2 - 84.0 * s
        parts += [_belly(subject, frame, belly, shift) for belly in PELVIC]
        parts += [_belly(subject, thigh_frame(subject, hip), belly, 0.0) for belly in THIGH]
        parts.append(_obturator(subject, frame, shift))
        parts.append(_joint(subject, hip))
    return parts


def _scaled(point: Sequence[float], s: float, shift: float) -> Point:
    # The middle of the body does not move if the hips are farther apart.
    x = point[0] * s + shift * min(max(point[0] / 84.0, 0.0), 1.0)
    return x, point[1] * s, point[2] * s


def _belly(subject: Subject, frame: Frame, belly: Belly, shift: float) -> Part:
    start, end, middle, tip, sheath = belly
    s = subject.body.scale
    bulk = s * subject.body.muscle
    first, last = _scaled(start, s, shift), _scaled(end, s, shift)
    sheath = sheath * (0.4 + 1.1 * subject.body.muscle_fat) + 0.04 * subject.body.fat_mm

    def paint(grid: Grid, width: float) -> Layer:
        distance = coarse(
            grid, lambda g: spindle(frame.local(g), first, last, middle * bulk, tip * bulk)
        )
        return coverage(distance - sheath, width), 1.0 - coverage(distance, width)

    return Part(box_of_points(frame, [first, last], middle * bulk + sheath), paint)


def _obturator(subject: Subject, frame: Frame, shift: float) -> Part:
    """Return the obturator internus, a flat muscle on the inner wall of the acetabulum."""
    s = subject.body.scale
    center, radii = _scaled((57.0, 14.0, -8.0), s, shift), (8.5 * s, 30.0 * s, 34.0 * s)
    low = [c - r for c, r in zip(center, radii, strict=True)]
    high = [c + r for c, r in zip(center, radii, strict=True)]

    def paint(grid: Grid, width: float) -> Layer:
        distance = coarse(grid, lambda g: ellipsoid(frame.local(g), center, radii))
        return coverage(distance, width), 0.0

    return Part(box_of(frame, low, high), paint)


def _joint(subject: Subject, hip: HipAnatomy) -> Part:
    """Return cartilage, fluid and capsule around the femoral head, which contain no fat."""
    frame = thigh_frame(subject, hip)
    radius = hip.head_radius_mm + hip.joint_gap_mm + 2.0

    def paint(grid: Grid, width: float) -> Layer:
        distance = ellipsoid(frame.local(grid), (0.0, 0.0, 0.0), (radius, radius, radius))
        return coverage(distance, width), 0.0

    return Part(box_of_points(frame, [(0.0, 0.0, 0.0)], radius), paint)


def _pocket(subject: Subject, frame: Frame, center: Point, radii: Point) -> Part:
    s = subject.body.scale
    grow = 0.72 + 0.011 * min(subject.body.fat_mm, 45.0)
    middle = _scaled(center, s, 0.0)
    size = tuple(r * s * grow for r in radii)
    low = [c - r for c, r in zip(middle, size, strict=True)]
    high = [c + r for c, r in zip(middle, size, strict=True)]

    def paint(grid: Grid, width: float) -> Layer:
        distance = coarse(grid, lambda g: ellipsoid(frame.local(g), middle, size))
        return coverage(distance, max(width, 3.0)), 1.0

    return Part(box_of(frame, low, high), paint)
