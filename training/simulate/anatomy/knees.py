"""Knees, whose condyles are spheres of bone with a shaft but no femoral heads."""

import numpy as np

from training.simulate.anatomy.femur import SHAFT_END_MM
from training.simulate.anatomy.frames import femur_frame
from training.simulate.anatomy.plain_bone import plain_bone
from training.simulate.geometry.painting import Layer, Part
from training.simulate.geometry.shapes import (
    Array,
    Frame,
    Grid,
    Point,
    box_of_points,
    capsule,
    coverage,
    ellipsoid,
    rotation,
    smooth_min,
)
from training.simulate.subject import HipAnatomy, Subject

HEIGHT_MM = -395.0
"""Height of the joint line relative to the femoral head of an average woman."""
FROM_MM = -300.0
"""Upper end of the knee relative to the hips, mm of an average woman."""


def knee_parts(subject: Subject, kvp: int) -> tuple[list[Part], list[Part]]:
    """Return soft parts, and distal femur, tibia, fibula and patella of both legs."""
    flesh = [_flesh(subject, _frame(subject, hip)) for hip in subject.hips]
    return flesh, [part for hip in subject.hips for part in _bones(subject, hip, kvp)]


def _frame(subject: Subject, hip: HipAnatomy) -> Frame:
    """Return the frame of the joint, turned by rotation of the leg, not by anteversion."""
    femur = femur_frame(subject, hip)
    middle = np.array([femur.neck_end_mm[0], -3.0, HEIGHT_MM * subject.body.scale])
    return femur.frame.child(rotation(0, 0, -hip.anteversion_deg), middle)


def _bones(subject: Subject, hip: HipAnatomy, kvp: int) -> list[Part]:
    frame, s = _frame(subject, hip), subject.body.scale
    top = (SHAFT_END_MM - HEIGHT_MM * s + 4.0) / s

    def distal(q: Grid) -> Array:
        shaft = capsule(q, (0.0, 0.0, top), (0.0, 2.0, 22.0), (hip.shaft_radius_mm / s, 24.0))
        inner = ellipsoid(q, (-23.0, 8.0, 0.0), (17.0, 31.0, 23.0))
        outer = ellipsoid(q, (23.0, 8.0, 2.0), (16.0, 32.0, 22.0))
        notch = capsule(q, (0.0, 12.0, -16.0), (0.0, 46.0, 2.0), (10.0, 11.0))
        d = smooth_min(smooth_min(inner, outer, 6.0), shaft, 16.0)
        return np.maximum(d, -notch)

    return [
        plain_bone(subject, frame, ((-50, -45, -40), (50, 50, top)), distal, kvp),
        plain_bone(subject, frame, ((-50, -40, -420), (55, 50, -20)), _lower_leg, kvp),
        plain_bone(subject, frame, ((-30, -62, -20), (30, -34, 42)), _patella, kvp),
    ]


def _flesh(subject: Subject, frame: Frame) -> Part:
    body, s = subject.body, subject.body.scale
    ends: tuple[Point, Point] = ((0.0, 8.0 * s, 90.0 * s), (2.0 * s, 20.0 * s, -330.0 * s))
    skin = 0.25 * body.fat_mm + 4.0

    def paint(grid: Grid, width: float) -> Layer:
        meat = capsule(frame.local(grid), *ends, (56.0 * s, 46.0 * s))
        hu = body.fat_hu + coverage(meat, width) * (body.muscle_hu - body.fat_hu)
        return coverage(meat - skin, width), np.asarray(hu)

    return Part(box_of_points(frame, ends, 56.0 * s + skin), paint)


def _lower_leg(q: Grid) -> Array:
    plateau = ellipsoid(q, (0.0, 5.0, -36.0), (38.0, 26.0, 11.0))
    tibia = capsule(q, (0.0, 4.0, -42.0), (-3.0, 6.0, -95.0), (27.0, 14.0))
    shaft = capsule(q, (-3.0, 6.0, -95.0), (-6.0, 8.0, -400.0), (14.0, 11.5))
    fibula = capsule(q, (32.0, 21.0, -52.0), (24.0, 20.0, -400.0), (8.0, 6.0))
    d = smooth_min(smooth_min(plateau, tibia, 8.0), shaft, 8.0)
    return np.minimum(d, fibula)


def _patella(q: Grid) -> Array:
    return ellipsoid(q, (0.0, -47.0, 12.0), (21.0, 9.5, 21.0))
