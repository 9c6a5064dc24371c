"""Which of the candidates of a volume are its patient's hips."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.heads import Ball, Floats
from worker.pipeline.femurs.necks import Neck
from worker.pipeline.femurs.shafts import Shaft
from worker.pipeline.results import Side

# A candidate alone is a femur from MIN_QUALITY on; one that lies where the other head of a
# sure one must lie, from PARTNER_QUALITY on; and two that are neither sure, but lie as the
# hips of one patient do, from PAIR_QUALITY on in the mean. The qualities of true and false
# candidates are in docs/decisions/0002-femur-finder.md.
MIN_QUALITY = 0.07
PARTNER_QUALITY = 0.045
PAIR_QUALITY = 0.055

# Balls nearer than this are one head; farther, up to OVERLAP_MM, one of two at most is.
SAME_HEAD_MM, OVERLAP_MM = 10.0, 25.0
AS_GOOD = 0.85

# Adult hips: centres of the heads about 18 cm apart, in one height and depth up to the tilt
# and turn that a patient lies with; a patient rolled by 25° has one 8 cm behind the other.
HIP_DISTANCE_MM = (120.0, 250.0)
DOWN_SHIFT_MM, BACKWARD_SHIFT_MM = 60.0, 90.0
RADIUS_DIFFERENCE_MM = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A ball with a neck and a shaft; ``quality`` 0–1 says how much it is a femur."""

    ball: Ball
    neck: Neck
    shaft: Shaft | None
    quality: float

    @property
    def head_quality(self) -> float:
        """0–1, of ball and neck alone."""
        return self.ball.roundness * self.neck.score

    @property
    def side(self) -> Side:
        """The neck points away from the middle of the body; the third grid axis is left."""
        return "L" if self.neck.axis[2] > 0 else "R"


def best_pair(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The best candidate and the best that can be its patient's other hip, right first."""
    known = list(candidates)
    sound = [
        each
        for each in known
        if each.quality >= PARTNER_QUALITY and not is_doubted(each, known)
    ]
    right = [each for each in sound if each.side == "R"]
    left = [each for each in sound if each.side == "L"]
    pairs = [both for both in product(right, left) if opposite(both[0].ball, both[1].ball)]
    best = max(sound, key=lambda each: each.quality, default=None)
    if best is not None and best.quality >= MIN_QUALITY:
        return max((pair for pair in pairs if best in pair), key=_mean, default=(best,))
    pair = max(pairs, key=_mean, default=())
    return pair if pair and _mean(pair) >= PAIR_QUALITY else ()


def is_doubted(candidate: Candidate, candidates: Iterable[Candidate]) -> bool:
    """Whether a ball as good overlaps it that has no shaft in view.

    Where a pelvis is cut off below the trochanters, a ball of head and socket roof together
    lies high enough to take the true neck for its shaft; the true head beside it has none.
    """
    known = list(candidates)
    with_shaft = [each.ball for each in known if each.shaft is not None]
    return any(
        each.head_quality >= AS_GOOD * candidate.head_quality
        and SAME_HEAD_MM < _distance_mm(each.ball, candidate.ball) < OVERLAP_MM
        and all(_distance_mm(each.ball, ball) > SAME_HEAD_MM for ball in with_shaft)
        for each in known
        if each.shaft is None
    )


def _distance_mm(one: Ball, other: Ball) -> float:
    return float(np.linalg.norm(one.center - other.center))


def opposite(right: Ball, left: Ball) -> bool:
    """Whether two fitted balls can be the right and the left head of one patient."""
    alike = abs(left.radius_mm - right.radius_mm) <= RADIUS_DIFFERENCE_MM
    return alike and bool(_across(right.center, left.center))


def across_from(candidate: Candidate, points: Floats) -> npt.NDArray[np.bool_]:
    """(n,) whether the other head of a candidate's patient may lie at each point."""
    if candidate.side == "R":
        return _across(candidate.ball.center, points)
    return _across(points, candidate.ball.center)


def _across(right: Floats, left: Floats) -> npt.NDArray[np.bool_]:
    backward, down, apart = np.moveaxis(left - right, -1, 0)
    return np.asarray(
        (HIP_DISTANCE_MM[0] <= apart)
        & (apart <= HIP_DISTANCE_MM[1])
        & (np.abs(down) <= DOWN_SHIFT_MM)
        & (np.abs(backward) <= BACKWARD_SHIFT_MM)
    )


def _mean(pair: tuple[Candidate, ...]) -> float:
    return sum(each.quality for each in pair) / len(pair)
