"""Arms beside the body, whose bones are near the hips, of patients who cannot raise them."""

from training.simulate.anatomy.body import HALF_WIDTH, HEIGHT
from training.simulate.anatomy.frames import body_frame, side_frame
from training.simulate.geometry.painting import Layer, Part
from training.simulate.geometry.shapes import (
    Array,
    Frame,
    Grid,
    Point,
    box_of_points,
    capsule,
    coverage,
    smooth_min,
)
from training.simulate.subject import SIDES, Subject, mineral_contrast


def arm_parts(subject: Subject, kvp: int) -> tuple[list[Part], list[Part]]:
    """Return soft parts and bones of both arms; empty for raised arms."""
    if not subject.pose.arms_down:
        return [], []
    soft: list[Part] = []
    bones: list[Part] = []
    for side in SIDES:
        frame = side_frame(body_frame(subject), side, (0.0, 0.0, 0.0))
        joints = _joints(subject)
        soft.append(_flesh(subject, frame, joints))
        bones += _bones(subject, frame, joints, kvp)
    return soft, bones


def _joints(subject: Subject) -> tuple[Point, Point, Point, Point]:
    """Return shoulder, elbow, wrist and knuckles in the side frame."""
    s, body = subject.body.scale, subject.body
    hips = HALF_WIDTH[HEIGHT.index(-10.0)] * s * body.pelvis_width + 1.35 * body.fat_mm
    return (
        (185.0 * s + 0.5 * body.fat_mm, 20.0, 440.0 * s),
        (hips + 48.0, 25.0, 175.0 * s),
        (hips + 34.0, 5.0, -55.0 * s),
        (hips + 28.0, 0.0, -150.0 * s),
    )


def _flesh(subject: Subject, frame: Frame, joints: tuple[Point, ...]) -> Part:
    shoulder, elbow, wrist, knuckles = joints
    fat = 0.3 * subject.body.fat_mm
    bulk = subject.body.muscle * subject.body.scale

    def limb(p: Grid, thicker: float) -> Array:
        upper = capsule(p, shoulder, elbow, (44.0 * bulk + thicker, 34.0 * bulk + thicker))
        lower = capsule(p, elbow, wrist, (36.0 * bulk + thicker, 22.0 + 0.5 * thicker))
        hand = capsule(p, wrist, knuckles, (20.0, 16.0))
        return smooth_min(smooth_min(upper, lower, 12.0), hand, 10.0)

    def paint(grid: Grid, width: float) -> Layer:
        p = frame.local(grid)
        meat = coverage(limb(p, 0.0), width)
        hu = subject.body.fat_hu + meat * (subject.body.muscle_hu - subject.body.fat_hu)
        return coverage(limb(p, fat + 2.0), width), hu

    return Part(box_of_points(frame, joints, 60.0 + fat), paint)


def _bones(subject: Subject, frame: Frame, joints: tuple[Point, ...], kvp: int) -> list[Part]:
    shoulder, elbow, wrist, knuckles = joints
    rods = [(shoulder, elbow, 11.5, 4.0)]
    for dy in (-9.0, 9.0):
        moved = [(x, y + dy, z) for x, y, z in (elbow, wrist)]
        rods.append((moved[0], moved[1], 7.5, 2.5))
    rods += [
        ((wrist[0], wrist[1] + dy, wrist[2] - 12), (knuckles[0], knuckles[1] + dy, knuckles[2]),
         4.5, 1.3)
        for dy in (-12.0, 0.0, 12.0)
    ]  # fmt: skip
    return [_bone(subject, frame, rod, kvp) for rod in rods]


def _bone(
    subject: Subject, frame: Frame, rod: tuple[Point, Point, float, float], kvp: int
) -> Part:
    start, end, radius, cortex_mm = rod
    bone = subject.hips[0].density
    cortex = bone.cortex_hu * mineral_contrast(subject, kvp)

    def paint(grid: Grid, width: float) -> Layer:
        distance = capsule(frame.local(grid), start, end, (radius, radius))
        shell = coverage(-distance - cortex_mm * bone.cortex_scale, width + 0.5)
        return coverage(distance, width), bone.marrow_hu + shell * (cortex - bone.marrow_hu)

    return Part(box_of_points(frame, [start, end], radius), paint)
