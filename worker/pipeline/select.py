"""The proximal femurs of a volume, and the coronal plane that shows each best."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from worker.pipeline.femurs.grid import Grid, build_grid, sphere_directions
from worker.pipeline.femurs.heads import Ball, Floats, climb, find_balls, ray_values
from worker.pipeline.femurs.necks import Neck, find_neck, narrowest
from worker.pipeline.femurs.spheres import fit_sphere
from worker.pipeline.results import Femur, Plane, PointMm, Side, Volume

# A candidate alone is a femur from MIN_QUALITY on; one that lies where the other head of a
# sure one must lie, from PARTNER_QUALITY on; and two that are neither sure, but lie as the
# hips of one patient do, from PAIR_QUALITY on in the mean. The qualities of true and false
# candidates are in docs/decisions/0002-femur-finder.md.
MIN_QUALITY = 0.24
PARTNER_QUALITY = 0.14
PAIR_QUALITY = 0.19
MIN_RADIUS_MM = 17.5
FIRST_LOOK, SECOND_LOOK = 14, 28
SAME_MM = 8.0

SOCKET_HU = 200
SOCKET_MM = np.arange(2.0, 14.1, 1.5)
SOCKET_COSINE = -0.25
SOCKET_DIRECTIONS = sphere_directions(300)
MIN_SOCKET_KNOWN = 0.2

# Adult hips: centres of the heads about 18 cm apart, in one height and depth up to the tilt
# and turn that a patient lies with.
HIP_DISTANCE_MM = (120.0, 250.0)
HIP_SHIFT_MM = 60.0
RADIUS_DIFFERENCE_MM = 6.0

# The neck is what is graded: the plane runs nearer to its centre than to the head's.
NECK_SHARE = 0.65


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A ball with a neck; ``quality`` 0–1 is roundness × neck × socket."""

    ball: Ball
    neck: Neck
    quality: float

    @property
    def side(self) -> Side:
        """The neck points away from the middle of the body; the third grid axis is left."""
        return "L" if self.neck.axis[2] > 0 else "R"


def find_femurs(volume: Volume) -> tuple[Femur, ...]:
    """The femoral heads of a canonical coronal volume with their necks, right first.

    None where nothing is sure enough to be a femoral head: there is no guess.
    """
    if min(volume.hu.shape) < 2:
        return ()
    grid = build_grid(volume)
    ranked = rank(grid, find_balls(grid))
    candidates = list(examine(grid, ranked[:FIRST_LOOK]))
    found = best_pair(candidates)
    if len(found) < 2:
        rest = ranked[FIRST_LOOK:SECOND_LOOK]
        if found:
            rest = [ball for ball in ranked[FIRST_LOOK:] if across_from(found[0], ball)]
        found = best_pair([*candidates, *examine(grid, rest)])
    return tuple(_femur(grid, candidate) for candidate in found)


def rank(grid: Grid, balls: Iterable[Ball]) -> list[Ball]:
    """Balls by what a first look says of ball and neck together, best first."""
    looks = [(ball, find_neck(grid, ball)) for ball in balls]
    looks.sort(key=lambda look: -(look[0].score + 0.15) * look[1].score)
    return [ball for ball, _ in looks]


def examine(grid: Grid, balls: Iterable[Ball]) -> Iterator[Candidate]:
    """Fit every ball that has not run into an earlier one."""
    seen: list[Floats] = []
    for start in balls:
        ball = climb(grid, start)
        if any(np.linalg.norm(ball.center - center) < SAME_MM for center in seen):
            continue
        seen.append(ball.center)
        ball = fit_sphere(grid, ball, find_neck(grid, ball).axis, offsets_mm=(0.0,))
        ball = fit_sphere(grid, ball, find_neck(grid, ball).axis)
        neck = find_neck(grid, ball)
        seen.append(ball.center)
        yield Candidate(ball, neck, ball.roundness * neck.score * socket(grid, ball, neck))


def socket(grid: Grid, ball: Ball, neck: Neck) -> float:
    """Share of the directions away from the neck in which bone lies just beyond the ball:
    the acetabulum, which a trochanter, a condyle or a shaft does not have."""
    away = SOCKET_DIRECTIONS[SOCKET_DIRECTIONS @ neck.axis < SOCKET_COSINE]
    values = ray_values(grid, ball.center[None], away, ball.radius_mm + SOCKET_MM)[0]
    known = np.isfinite(values[:, : len(SOCKET_MM) // 2]).all(axis=1)
    if known.mean() < MIN_SOCKET_KNOWN:
        return 0.0
    return float((np.nan_to_num(values[known], nan=-1024).max(axis=1) > SOCKET_HU).mean())


def best_pair(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The best candidate and the best that can be its patient's other hip, right first."""
    sound = [
        each
        for each in candidates
        if each.ball.radius_mm >= MIN_RADIUS_MM and each.quality >= PARTNER_QUALITY
    ]
    right = [each for each in sound if each.side == "R"]
    left = [each for each in sound if each.side == "L"]
    pairs = [both for both in product(right, left) if opposite(both[0].ball, both[1].ball)]
    best = max(sound, key=lambda each: each.quality, default=None)
    if best is not None and best.quality >= MIN_QUALITY:
        return max((pair for pair in pairs if best in pair), key=_mean, default=(best,))
    pair = max(pairs, key=_mean, default=())
    return pair if pair and _mean(pair) >= PAIR_QUALITY else ()


def _mean(pair: tuple[Candidate, ...]) -> float:
    return sum(each.quality for each in pair) / len(pair)


def opposite(right: Ball, left: Ball) -> bool:
    """Whether two balls can be the right and the left head of one patient."""
    backward, down, apart = left.center - right.center
    return bool(
        HIP_DISTANCE_MM[0] <= apart <= HIP_DISTANCE_MM[1]
        and abs(down) <= HIP_SHIFT_MM
        and abs(backward) <= HIP_SHIFT_MM
        and abs(left.radius_mm - right.radius_mm) <= RADIUS_DIFFERENCE_MM
    )


def across_from(candidate: Candidate, ball: Ball) -> bool:
    """Whether a ball can be the other head of a candidate's patient."""
    if candidate.side == "R":
        return opposite(candidate.ball, ball)
    return opposite(ball, candidate.ball)


def choose_plane(volume: Volume, femur: Femur) -> Plane:
    """The coronal slice nearest to a point between the centres of head and neck.

    No coronal plane shows head, neck and shaft all in their middle (anteversion turns the
    neck forward by 10–20°); this one passes within a few mm of both centres.
    """
    target = (1 - NECK_SHARE) * np.array(femur.center_mm) + NECK_SHARE * np.array(femur.neck_mm)
    index = int(np.clip(np.rint(volume.to_index(target)[0]), 0, volume.hu.shape[0] - 1))
    _, row_mm, column_mm = volume.spacing_mm
    return Plane(
        index=index,
        hu=volume.hu[index],
        position_mm=_point(volume.to_mm((index, 0, 0))),
        row_spacing_mm=row_mm,
        column_spacing_mm=column_mm,
        source_sop_uid=volume.source_sop_uids[index] if volume.source_sop_uids else None,
        row_direction=_point(volume.affine[:3, 1] / row_mm),
        column_direction=_point(volume.affine[:3, 2] / column_mm),
        source_frame=volume.source_frames[index] if volume.source_frames else None,
    )


def _femur(grid: Grid, candidate: Candidate) -> Femur:
    neck = narrowest(grid, candidate.ball, candidate.neck.axis)
    return Femur(
        side=candidate.side,
        center_mm=_point(grid.to_patient(candidate.ball.center)),
        radius_mm=candidate.ball.radius_mm,
        neck_mm=_point(grid.to_patient(neck)),
        confidence=round(min(1.0, candidate.quality), 3),
    )


def _point(position: Floats) -> PointMm:
    x, y, z = (float(value) for value in position)
    return x, y, z
