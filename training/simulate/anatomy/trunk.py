"""Lumbar spine and lower ribs."""

from dataclasses import dataclass

import numpy as np

from training.simulate.anatomy.frames import body_frame
from training.simulate.geometry import texture
from training.simulate.geometry.painting import Layer, Part
from training.simulate.geometry.shapes import (
    Array,
    Frame,
    Grid,
    box_of,
    capsule,
    coverage,
    ellipsoid,
    rotation,
    smooth_max,
    smooth_min,
)
from training.simulate.subject import Subject, marrow_enhancement, mineral_contrast

# Middle of each vertebral body (y, z) in mm of an average woman and its tilt in degrees,
# from L5 upwards: a lordosis of about 40°.
VERTEBRAE = (
    (28.0, 126.0, -18.0), (18.0, 160.0, -8.0), (13.0, 196.0, 0.0), (15.0, 232.0, 6.0),
    (22.0, 267.0, 10.0), (30.0, 300.0, 10.0), (38.0, 331.0, 9.0), (44.0, 361.0, 8.0),
    (49.0, 390.0, 6.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Level:
    frame: Frame
    height: float
    width: float


def _levels(subject: Subject) -> list[_Level]:
    """Return the frames of the vertebrae, with a slight scoliosis."""
    rng = np.random.default_rng([subject.seed, 11])
    body, scale = body_frame(subject), subject.body.scale
    bend = rng.normal(0, 4.0 + 0.05 * subject.age_years)
    levels = []
    for index, (y, z, tilt) in enumerate(VERTEBRAE):
        lateral = bend * float(np.sin(np.pi * index / 7.0))
        turn = -bend * 0.9 * float(np.cos(np.pi * index / 7.0))
        # Loss of height is more likely with less bone.
        lost = max(0.0, rng.normal(-0.05 * (4.5 + subject.t_score), 0.1))
        frame = body.child(
            rotation(-tilt, turn * 0.6, 0), np.array([lateral, y * scale, z * scale])
        )
        levels.append(_Level(frame, (13.6 - 0.25 * index) * scale * (1 - lost),
                             (25.0 - 0.8 * index) * scale))  # fmt: skip
    return levels


def spine_parts(subject: Subject, kvp: int) -> list[Part]:
    """Return the vertebrae with arches, and the discs between them."""
    levels = _levels(subject)
    parts = [_disc(subject, level) for level in levels]
    parts += [_vertebra(subject, level, kvp, index) for index, level in enumerate(levels)]
    return parts


def _disc(subject: Subject, level: _Level) -> Part:
    reach = 18.5 * subject.body.scale
    box = box_of(level.frame, (-level.width, -20, -reach - 2), (level.width, 20, reach + 2))

    def paint(grid: Grid, width: float) -> Layer:
        p = level.frame.local(grid)
        column = np.sqrt(p[0] ** 2 * (16.5 / level.width) ** 2 + p[1] ** 2) - 15.5
        distance = smooth_max(column, np.abs(p[2]) - reach, 3.0)
        return coverage(distance, width), 92.0

    return Part(box, paint)


def _vertebra(subject: Subject, level: _Level, kvp: int, index: int) -> Part:
    w, h = level.width, level.height
    s = subject.body.scale
    box = box_of(level.frame, (-46 * s, -22 * s, -34 * s), (46 * s, 82 * s, 22 * s))
    bone = subject.hips[0].density

    def paint(grid: Grid, width: float) -> Layer:
        p = level.frame.local(grid)
        folded = (np.abs(p[0]), p[1], p[2])
        waist = 1.6 * (1.0 - np.minimum((p[2] * (1 / h)) ** 2, 1.0))
        column = np.sqrt(p[0] ** 2 * (17.0 * s / w) ** 2 + p[1] ** 2) - (17.0 * s - waist)
        body = smooth_max(column, np.abs(p[2]) - h, 2.5)
        arch = _arch((folded[0] * (1 / s), p[1] * (1 / s), p[2] * (1 / s)), index) * s
        distance = smooth_min(body, arch, 3.0)
        grain = texture.noise(grid, subject.seed + 5, 1.8, 1.0)
        # L1 is denser than the femoral neck (Hendrickson 2018: 236 ± 42 HU in young adults).
        mineral = (1.05 * (bone.neck_hu - bone.marrow_hu) + 20.0) * (1.0 + 0.17 * grain)
        core = mineral * mineral_contrast(subject, kvp)
        core = core + bone.marrow_hu + 15.0 + marrow_enhancement(subject, kvp)
        shell = np.clip((distance + 0.6 + 0.5 * bone.cortex_scale) / (width + 0.8) + 0.5, 0, 1)
        shell = np.where(arch < body, np.minimum(shell + 0.35, 1.0), shell)
        cortex = 0.72 * bone.cortex_hu * mineral_contrast(subject, kvp)
        return coverage(distance, width), np.asarray(core + shell * (cortex - core))

    return Part(box, paint)


def _arch(q: Grid, index: int) -> Array:
    """Return the distance to pedicles, laminae, facets and processes (x folded)."""
    d = capsule(q, (14.0, 10.0, 4.0), (15.0, 26.0, 2.0), (5.0, 4.5))
    d = smooth_min(d, capsule(q, (15.0, 30.0, 0.0), (3.0, 43.0, -12.0), (4.5, 4.5)), 4.0)
    d = smooth_min(d, ellipsoid(q, (17.0, 34.0, -16.0), (6.5, 7.5, 10.0)), 3.0)
    if index < 5:
        d = smooth_min(d, capsule(q, (17.0, 26.0, 2.0), (42.0, 33.0, 4.0), (4.0, 3.0)), 4.0)
    spinous = capsule(q, (0.0, 44.0, -8.0), (0.0, 74.0, -17.0), (4.0, 5.0))
    return smooth_min(d, spinous, 3.0)


def rib_parts(subject: Subject, kvp: int) -> list[Part]:
    """Return ribs 12 to 7."""
    s = subject.body.scale
    fronts = (30.0, -20.0, -55.0, -70.0, -80.0, -80.0)
    return [
        rib_part(
            subject, kvp, (302.0 + 30.0 * index) * s, front * s, (125.0 * s, 88.0 * s, 10.0 * s)
        )
        for index, front in enumerate(fronts)
    ]


def rib_part(
    subject: Subject, kvp: int, start: float, front: float, chest: tuple[float, float, float]
) -> Part:
    """Return one pair of ribs: arcs around the chest, forwards and down, body frame mm.

    ``start`` : height at the spine; ``front`` : y where they end; ``chest`` : half width,
    half depth and middle of the chest.
    """
    frame, s = body_frame(subject), subject.body.scale
    cortex = 0.6 * subject.hips[0].density.cortex_hu * mineral_contrast(subject, kvp)
    a, b, middle = chest
    box = box_of(frame, (-a - 8, front, start - 95 * s), (a + 8, b + middle + 8, start + 12))

    def paint(grid: Grid, width: float) -> Layer:
        x, y, z = frame.local(grid)
        y = y - middle
        k = np.sqrt((x * (1 / a)) ** 2 + (y * (1 / b)) ** 2)
        radial = (k - 1.0) * 100.0 * s
        drop = z - (start + (y - b) * 0.48)
        distance = np.sqrt((radial * 1.25) ** 2 + (drop * 0.8) ** 2) - 5.2 * s
        distance = np.maximum(distance, front - middle - y)
        distance = np.maximum(distance, 24.0 * s - np.abs(x))
        hollow = np.clip((distance + 1.6) / (width + 0.6) + 0.5, 0, 1)
        return coverage(distance, width), np.asarray(90.0 + hollow * (cortex - 90.0))

    return Part(box, paint)
