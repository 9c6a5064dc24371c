"""Abdominal and pelvic organs, bowel, bladder and vessels, in coarse form."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from training.simulate.anatomy.body import abdominal_cavity
from training.simulate.anatomy.frames import body_frame
from training.simulate.density import IODINE_OF_KVP, MINERAL_OF_KVP
from training.simulate.geometry import texture
from training.simulate.geometry.painting import Layer, Part, coarse
from training.simulate.geometry.shapes import (
    Frame,
    Grid,
    Matrix,
    Point,
    box_of,
    box_of_points,
    capsule,
    coverage,
    ellipsoid,
    smoothstep,
)
from training.simulate.subject import Subject

# Center, radii (mm, body frame of an average woman), HU without contrast medium, and share of
# the contrast that the tissue takes up.
SOLID: tuple[tuple[Point, Point, float, float], ...] = (
    ((-62.0, -12.0, 318.0), (82.0, 78.0, 78.0), 55.0, 0.55),  # liver
    ((-20.0, -38.0, 318.0), (70.0, 40.0, 40.0), 55.0, 0.55),
    ((92.0, 34.0, 322.0), (28.0, 42.0, 46.0), 48.0, 0.65),  # spleen
    ((34.0, 0.0, 292.0), (40.0, 12.0, 11.0), 38.0, 0.5),  # pancreas
    ((0.0, 26.0, 12.0), (26.0, 20.0, 26.0), 42.0, 0.45),  # uterus or prostate
)
KIDNEYS = ((-62.0, 36.0, 232.0), (64.0, 36.0, 242.0))
# Colon: corners of its course and its radius.
COLON: tuple[tuple[Point, ...], ...] = (
    ((-88.0, 0.0, 112.0), (-98.0, 8.0, 180.0), (-100.0, 12.0, 262.0)),
    ((-96.0, -20.0, 258.0), (-40.0, -62.0, 226.0), (40.0, -64.0, 232.0), (96.0, -8.0, 282.0)),
    ((106.0, 16.0, 278.0), (104.0, 14.0, 190.0), (94.0, 4.0, 112.0)),
    ((90.0, -2.0, 108.0), (48.0, -12.0, 78.0), (10.0, 14.0, 84.0), (0.0, 52.0, 60.0)),
    ((0.0, 54.0, 56.0), (2.0, 56.0, 12.0), (0.0, 48.0, -34.0)),
)
# Arteries: course, radius at both ends; mirrored for the other side below the bifurcation.
AORTA: tuple[Point, ...] = ((10.0, 10.0, 420.0), (9.0, -6.0, 300.0), (6.0, -10.0, 164.0))
ILIAC: tuple[Point, ...] = (
    (4.0, -10.0, 164.0), (30.0, 8.0, 112.0), (50.0, -14.0, 70.0), (66.0, -46.0, 22.0),
    (72.0, -50.0, -20.0), (70.0, -44.0, -80.0), (66.0, -36.0, -200.0),
)  # fmt: skip
CAVA: tuple[Point, ...] = ((-24.0, 4.0, 420.0), (-22.0, -2.0, 300.0), (-16.0, -4.0, 156.0))


def organ_parts(subject: Subject, kvp: int) -> list[Part]:
    """Return the organs of the cavity, then the vessels."""
    frame = body_frame(subject)
    rng = np.random.default_rng([subject.seed, 31])
    iodine = subject.body.contrast_hu * IODINE_OF_KVP[kvp]
    parts = [_small_bowel(subject)]
    for center, radii, plain, share in SOLID:
        parts.append(_solid(subject, frame, rng, center, radii, plain + share * iodine))
    for center in KIDNEYS:
        parts.append(_kidney(subject, frame, center, iodine))
    parts.append(_stomach(subject, frame, rng))
    for number, course in enumerate(COLON):
        parts += _colon(subject, frame, rng, course, number)
    parts.append(_bladder(subject, frame, kvp))
    parts.append(_lungs(subject, frame))
    return parts + _vessels(subject, frame, rng, iodine, kvp)


def _jitter(rng: np.random.Generator, point: Sequence[float], sd: float, s: float) -> Point:
    x, y, z = (float(v * s + rng.normal(0, sd)) for v in point)
    return x, y, z


def _solid(
    subject: Subject, frame: Frame, rng: np.random.Generator, center: Point, radii: Point,
    hu: float,
) -> Part:  # fmt: skip
    s = subject.body.scale
    middle = _jitter(rng, center, 4.0, s)
    size = tuple(float(r * s * rng.normal(1.0, 0.06)) for r in radii)
    hu = hu + float(rng.normal(0, 6))

    def paint(grid: Grid, width: float) -> Layer:
        distance = ellipsoid(frame.local(grid), middle, size)
        distance = distance + 2.5 * texture.noise(grid, subject.seed + 33, 14.0, 1.2)
        tissue = hu + 4.0 * texture.noise(grid, subject.seed + 34, 3.0, 1.0)
        return coverage(distance, width), tissue

    return Part(_ellipsoid_box(frame, middle, size), paint)


def _ellipsoid_box(frame: Frame, center: Sequence[float], radii: Sequence[float]) -> Matrix:
    low = [c - r - 6 for c, r in zip(center, radii, strict=True)]
    high = [c + r + 6 for c, r in zip(center, radii, strict=True)]
    return box_of(frame, low, high)


def _kidney(subject: Subject, frame: Frame, center: Point, iodine: float) -> Part:
    s = subject.body.scale
    middle: Point = (center[0] * s, center[1] * s, center[2] * s)
    radii = (26.0 * s, 24.0 * s, 52.0 * s)
    inward = -float(np.sign(center[0]))

    def paint(grid: Grid, width: float) -> Layer:
        p = frame.local(grid)
        distance = ellipsoid(p, middle, radii)
        sinus = ellipsoid(p, (middle[0] + inward * 15 * s, middle[1], middle[2]),
                          (15 * s, 11 * s, 26 * s))  # fmt: skip
        tissue = 32.0 + 0.95 * iodine
        hu = tissue + coverage(sinus, 4.0) * (subject.body.fat_hu + 30.0 - tissue)
        return coverage(distance, width), np.asarray(hu)

    return Part(_ellipsoid_box(frame, middle, radii), paint)


def _stomach(subject: Subject, frame: Frame, rng: np.random.Generator) -> Part:
    s = subject.body.scale
    middle = _jitter(rng, (44.0, -42.0, 312.0), 8.0, s)
    radii = (44.0 * s, 30.0 * s, 42.0 * s)
    level = middle[1] + float(rng.uniform(-24, 5)) * s
    front = -1.0 if subject.pose.prone else 1.0
    fluid = 320.0 if subject.body.oral_contrast else 18.0

    def paint(grid: Grid, width: float) -> Layer:
        p = frame.local(grid)
        distance = ellipsoid(p, middle, radii)
        gas = np.clip((level - p[1]) * (front / 2.0) + 0.5, 0.0, 1.0)
        content = fluid + gas * (-960.0 - fluid)
        wall = np.clip((distance + 3.5) / (width + 1.0) + 0.5, 0.0, 1.0)
        return coverage(distance, width), np.asarray(content + wall * (55.0 - content))

    return Part(_ellipsoid_box(frame, middle, radii), paint)


def _small_bowel(subject: Subject) -> Part:
    """Return loops of fluid, contrast medium and some gas, as level sets of a random field."""
    frame, s = body_frame(subject), subject.body.scale
    body, seed = subject.body, subject.seed
    fluid = 260.0 if body.oral_contrast else 22.0
    box = box_of(frame, (-105 * s, -110 * s, -5 * s), (105 * s, 45 * s, 285 * s))

    def paint(grid: Grid, width: float) -> Layer:
        depth = -coarse(grid, lambda g: abdominal_cavity(g, subject))
        field = texture.noise(grid, seed + 41, 8.5, 1.2)
        loops = 0.55 + 0.25 * body.visceral - np.abs(field) * 1.0
        share = smoothstep(loops, -0.02, 0.12) * smoothstep(depth, 4.0, 9.0)
        z = frame.local(grid)[2]
        share = share * smoothstep(z, 0.0, 30.0 * s) * smoothstep(z, 282.0 * s, 255.0 * s)
        pocket = texture.noise(grid, seed + 43, 13.0, 1.2) - (2.6 - 1.0 * body.gas)
        gas = smoothstep(pocket, 0.0, 0.12)
        inside = smoothstep(loops, 0.16, 0.30)
        content = 48.0 + inside * (fluid + gas * (-900.0 - fluid) - 48.0)
        return share, np.asarray(content + 5.0 * field)

    return Part(box, paint)


def _colon(
    subject: Subject, frame: Frame, rng: np.random.Generator, course: tuple[Point, ...],
    number: int,
) -> list[Part]:  # fmt: skip
    s = subject.body.scale
    points = [_jitter(rng, point, 5.0, s) for point in course]
    radius = float((19.0, 17.0, 14.0, 14.0, 16.0)[number] * s * rng.normal(1.0, 0.15))
    gas_share = subject.body.gas * float(rng.uniform(0.2, 1.0))
    level = radius * (1.1 - 1.7 * gas_share)
    front = -1.0 if subject.pose.prone else 1.0
    stool = float(rng.uniform(20.0, 70.0))

    def part(start: Point, end: Point) -> Part:
        def paint(grid: Grid, width: float) -> Layer:
            p = frame.local(grid)
            distance = capsule(p, start, end, (radius, radius))
            fold = texture.noise(grid, subject.seed + 45, 9.0, 1.1)
            distance = distance + 2.5 * fold
            middle = 0.5 * (start[1] + end[1])
            gas = np.clip((middle - p[1]) * (front / 2.0) - level / 2.0 + 0.5, 0.0, 1.0)
            lumps = texture.noise(grid, subject.seed + 46, 3.0, 1.0)
            solid = stool + 35.0 * lumps - 500.0 * smoothstep(lumps, 1.1, 2.0)
            content = solid + gas * (-940.0 - solid)
            wall = np.clip((distance + 2.8) / (width + 1.0) + 0.5, 0.0, 1.0)
            return coverage(distance, width), np.asarray(content + wall * (52.0 - content))

        return Part(box_of_points(frame, [start, end], radius + 8.0), paint)

    return [part(start, end) for start, end in pairwise(points)]


def _bladder(subject: Subject, frame: Frame, kvp: int) -> Part:
    s, fill = subject.body.scale, subject.body.bladder
    radii = (46.0 * s * fill**0.4, 36.0 * s * fill**0.5, 36.0 * s * fill**0.7)
    middle: Point = (0.0, -14.0 * s, -18.0 * s + radii[2])
    # Excreted contrast medium sinks to the back (or the front of a prone patient).
    sinks = -1.0 if subject.pose.prone else 1.0
    dense = 420.0 * IODINE_OF_KVP[kvp] if subject.body.bladder_contrast else 0.0

    def paint(grid: Grid, width: float) -> Layer:
        p = frame.local(grid)
        distance = ellipsoid(p, middle, radii)
        layer = np.clip((p[1] - middle[1] - 4.0) * (sinks / 8.0) + 0.5, 0.0, 1.0)
        content = 6.0 + dense * layer
        wall = np.clip((distance + 2.5) / (width + 1.0) + 0.5, 0.0, 1.0)
        return coverage(distance, width), np.asarray(content + wall * (38.0 - content))

    return Part(_ellipsoid_box(frame, middle, radii), paint)


def _lungs(subject: Subject, frame: Frame) -> Part:
    s = subject.body.scale
    box = box_of(frame, (-140 * s, -110 * s, 300 * s), (140 * s, 130 * s, 620 * s))

    def paint(grid: Grid, width: float) -> Layer:
        x, y, z = frame.local(grid)
        x = np.abs(x)
        dome = 372.0 * s - 0.011 * ((x - 62.0 * s) ** 2 + (y - 6.0) ** 2)
        chest = np.sqrt((x * (1 / (122.0 * s))) ** 2 + ((y - 8.0) * (1 / (88.0 * s))) ** 2)
        distance = np.maximum(np.maximum(dome - z, (chest - 1.0) * 90.0 * s), 26.0 * s - x)
        vessels = texture.noise(grid, subject.seed + 47, 3.5, 1.0)
        air = -850.0 + 18.0 * vessels + 600.0 * smoothstep(vessels, 1.8, 3.0)
        return coverage(distance, width), np.asarray(air)

    return Part(box, paint)


def _vessels(
    subject: Subject, frame: Frame, rng: np.random.Generator, iodine: float, kvp: int
) -> list[Part]:
    s = subject.body.scale
    courses = [(CAVA, 11.0, 0.9, 0.0), (AORTA, 9.5, 1.0, 1.0)]
    for sign in (1.0, -1.0):
        for veins in (True, False):
            moved = tuple((sign * (x - 11.0 * veins), y + 9.0 * veins, z) for x, y, z in ILIAC)
            courses.append((moved, 6.0 if veins else 5.2, 0.85 if veins else 1.0, 1.0 - veins))
    parts = []
    for course, radius, share, artery in courses:
        points = [_jitter(rng, point, 2.0, s) for point in course]
        size = float(radius * s * rng.normal(1.05, 0.1))
        plaque = subject.body.calcification * artery
        vessel = _Vessel(size, 42.0 + share * iodine, plaque, 650.0 * MINERAL_OF_KVP[kvp])
        parts += [_vessel_part(subject, frame, pair, vessel) for pair in pairwise(points)]
    return parts


@dataclass(frozen=True, slots=True)
class _Vessel:
    """A vessel; ``plaque`` : amount of calcified plaque, 0–1."""

    radius_mm: float
    blood_hu: float
    plaque: float
    calcium_hu: float


def _vessel_part(
    subject: Subject, frame: Frame, course: tuple[Point, Point], vessel: _Vessel
) -> Part:
    radius, hu, plaque = vessel.radius_mm, vessel.blood_hu, vessel.plaque

    def paint(grid: Grid, width: float) -> Layer:
        distance = capsule(frame.local(grid), *course, (radius, radius))
        if plaque <= 0.1:
            return coverage(distance, width), hu
        patches = texture.noise(grid, subject.seed + 48, 5.0, 1.0)
        wall = np.clip((distance + 1.8) / (width + 0.4) + 0.5, 0.0, 1.0)
        wall = wall * smoothstep(patches, 2.3 - 1.7 * plaque, 2.5 - 1.5 * plaque)
        return coverage(distance, width), np.asarray(hu + wall * (vessel.calcium_hu - hu))

    return Part(box_of_points(frame, course, radius), paint)
