"""The proximal femurs of a volume, and the plane that shows each best."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from worker.pipeline.femurs import planes
from worker.pipeline.femurs.grid import Grid, build_grid
from worker.pipeline.femurs.heads import Ball, Floats, climb, find_balls
from worker.pipeline.femurs.necks import Neck, find_neck, flare, glance, narrowest
from worker.pipeline.femurs.pairs import MIN_QUALITY, Candidate, across_from, best_pair
from worker.pipeline.femurs.shafts import find_shaft, neck_between
from worker.pipeline.femurs.spheres import fit_roughly, fit_sphere
from worker.pipeline.results import Femur, Plane, PointMm, Volume

FIRST_LOOK, SECOND_LOOK, ACROSS_LOOK = 12, 28, 20
SURE_QUALITY = 0.11
MIN_ROUGH_QUALITY = 0.05
MIN_RADIUS_MM = 17.5
# Ball and neck alone: less is no femur, whatever lies below.
MIN_HEAD_QUALITY = 0.05
SAME_MM = 7.0
# A fit ends up to 10 mm beside a head that has no joint space.
AROUND_MM = 8.0 * np.vstack([np.eye(3), -np.eye(3)])
SAME_FIT_MM, SETTLE_FITS = 2.0, 4
BODY_HU = -150
# A view may be off the middle of the body by as much.
MAX_INWARD_MM = 40.0


def find_femurs(volume: Volume) -> tuple[Femur, ...]:
    """The femoral heads of a canonical coronal volume with neck and shaft, right first.

    None where nothing is sure enough to be a proximal femur: there is no guess.
    """
    if min(volume.hu.shape) < 2:
        return ()
    grid = build_grid(volume)
    balls = find_balls(grid)
    looks = rank(grid, balls.best())
    candidates = examine(grid, looks[:FIRST_LOOK], [])
    found = best_pair(candidates)
    if not _both_sure(found) and all(each.quality < SURE_QUALITY for each in found):
        candidates = examine(grid, looks[FIRST_LOOK:SECOND_LOOK], candidates)
        found = best_pair(candidates)
    if found and not _both_sure(found):
        best = max(found, key=lambda each: each.quality)
        across = balls.best(across_from(best, balls.points))
        found = best_pair(examine(grid, rank(grid, across)[:ACROSS_LOOK], candidates))
    return tuple(_femur(grid, settle(grid, each)) for each in found)


def _both_sure(found: Sequence[Candidate]) -> bool:
    return len(found) == 2 and min(each.quality for each in found) >= MIN_QUALITY


def settle(grid: Grid, candidate: Candidate) -> Candidate:
    """The best fit of the head of a candidate out of those from all around it.

    Balls of one head share neck and shaft, and one that lies too deep in the socket has the
    longer neck: what tells them apart is the surface, so it counts once more.
    """
    ball, fits = candidate.ball, list[Ball]()
    for nudge in AROUND_MM:
        start = climb(grid, replace(ball, center=ball.center + nudge))
        fit = fit_roughly(grid, start, candidate.neck.axis)
        if not _near(fit, [each.center for each in fits], SAME_FIT_MM):
            fits.append(fit)
    fits.sort(key=lambda fit: -fit.roundness)
    others = [
        judge(grid, fit_sphere(grid, fit, candidate.neck.axis)) for fit in fits[:SETTLE_FITS]
    ]
    same = [each for each in others if each.side == candidate.side]
    return max([candidate, *same], key=lambda each: each.quality * each.ball.roundness)


def choose_plane(volume: Volume, femur: Femur) -> Plane:
    """The slice of a coronal series that is nearest to head and neck; out of a reformatted
    volume the upright plane through both."""
    if volume.source_sop_uids:
        return planes.nearest_slice(volume, femur)
    return planes.cut_through(volume, femur)


def rank(grid: Grid, balls: Iterable[Ball]) -> list[tuple[Ball, Neck]]:
    """Balls with their necks by what a first look says of both together, best first."""
    looks = [(ball, glance(grid, ball)) for ball in balls]
    return sorted(looks, key=lambda look: -(look[0].score + 0.15) * look[1].score)


def examine(
    grid: Grid, looks: Iterable[tuple[Ball, Neck]], earlier: list[Candidate]
) -> list[Candidate]:
    """The earlier candidates, and of the balls all that may be a head, fitted and judged.

    A ball that runs into an earlier one is left out; it ends with a pair that is sure.
    """
    candidates = list(earlier)
    seen: list[Floats] = []
    for start, start_neck in looks:
        ball = climb(grid, start)
        if _near(ball, seen):
            continue
        seen.append(ball.center)
        ball = fit_roughly(grid, ball, start_neck.axis)
        if _near(ball, [each.ball.center for each in candidates if each.quality > 0]):
            continue
        neck, _ = outward_neck(grid, ball)
        if ball.roundness * neck.score < MIN_ROUGH_QUALITY:
            continue
        candidates.append(judge(grid, fit_sphere(grid, ball, neck.axis)))
        pair = best_pair(candidates)
        if len(pair) == 2 and min(each.quality for each in pair) >= SURE_QUALITY:
            break
    return candidates


def _near(ball: Ball, centers: Iterable[Floats], near_mm: float = SAME_MM) -> bool:
    return any(np.linalg.norm(ball.center - center) < near_mm for center in centers)


def judge(grid: Grid, ball: Ball) -> Candidate:
    """Neck and shaft of a fitted ball, and quality = roundness × neck × shaft²."""
    neck, better = outward_neck(grid, ball)
    usual = ball.radius_mm >= MIN_RADIUS_MM
    if not usual or ball.roundness * neck.score < MIN_HEAD_QUALITY:
        return Candidate(ball, replace(neck, score=0.0), None, 0.0)
    shaft = find_shaft(grid, ball, neck)
    if shaft is None:
        return Candidate(ball, neck, None, 0.0)
    between = neck_between(grid, ball, shaft)
    score = max(neck.score, between.score) * flare(grid, ball, between.axis)
    # Squared: in the pelvis balls with necks are many, and the shaft alone tells them apart.
    quality = ball.roundness * score * shaft.score**2 * better
    return Candidate(ball, replace(between, score=score), shaft, quality)


def outward_neck(grid: Grid, ball: Ball) -> tuple[Neck, float]:
    """The neck of a ball, which points away from the middle of the body or of the part in
    view: the other rod beside a head is the upper branch of the pubis.

    Also 0–1, how much it is the better one of the two: where what leads inward is clearer,
    the ball is rather a part of the pelvis.
    """
    neck = find_neck(grid, ball)
    inside = np.flatnonzero((grid.hu > BODY_HU).any(axis=(0, 1)))
    middle = inside[[0, -1]].mean() * grid.voxel_mm[2] if inside.size else 0.0
    side = float(np.sign(neck.axis[2]))
    if (ball.center[2] - middle) * side > -MAX_INWARD_MM:
        return neck, 1.0
    outward = find_neck(grid, ball, -side)
    return outward, min(1.0, outward.score / max(neck.score, 1e-6))


def _femur(grid: Grid, candidate: Candidate) -> Femur:
    ball, axis, shaft = candidate.ball, candidate.neck.axis, candidate.shaft
    assert shaft is not None  # noqa: S101 - without one there is no quality
    meeting = ball.center + axis * shaft.offset_mm / np.linalg.norm(
        np.cross(axis, shaft.direction)
    )
    turn = grid.directions
    return Femur(
        side=candidate.side,
        center_mm=_point(grid.to_patient(ball.center)),
        radius_mm=ball.radius_mm,
        neck_mm=_point(grid.to_patient(narrowest(grid, ball, axis))),
        confidence=round(min(1.0, candidate.quality), 3),
        neck_axis=_point(turn @ axis),
        trochanter_mm=_point(grid.to_patient(meeting)),
        shaft_direction=_point(turn @ shaft.direction),
    )


def _point(position: Floats) -> PointMm:
    x, y, z = (float(value) for value in position)
    return x, y, z
