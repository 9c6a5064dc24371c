"""Which of the candidates of a volume are its patient's hips."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from worker.pipeline.femurs.heads import Ball
from worker.pipeline.femurs.necks import Neck
from worker.pipeline.femurs.shafts import Shaft
from worker.pipeline.results import Side

# A candidate alone is a femur from MIN_QUALITY on; one that lies where the other head of a
# sure one must lie, from PARTNER_QUALITY on; and two that are neither sure, but lie as the
# hips of one patient do, from PAIR_QUALITY on in the mean. The qualities of true and false
# candidates are in docs/decisions/0002-femur-finder.md.
MIN_QUALITY = 0.12
PARTNER_QUALITY = 0.07
PAIR_QUALITY = 0.10

# Adult hips: centres of the heads about 18 cm apart, in one height and depth up to the tilt
# and turn that a patient lies with.
HIP_DISTANCE_MM = (120.0, 250.0)
HIP_SHIFT_MM = 60.0
RADIUS_DIFFERENCE_MM = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A ball with a neck and a shaft; ``quality`` 0–1 says how much it is a femur."""

    ball: Ball
    neck: Neck
    shaft: Shaft | None
    quality: float

    @property
    def side(self) -> Side:
        """The neck points away from the middle of the body; the third grid axis is left."""
        return "L" if self.neck.axis[2] > 0 else "R"


def best_pair(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The best candidate and the best that can be its patient's other hip, right first."""
    sound = [each for each in candidates if each.quality >= PARTNER_QUALITY]
    right = [each for each in sound if each.side == "R"]
    left = [each for each in sound if each.side == "L"]
    pairs = [both for both in product(right, left) if opposite(both[0].ball, both[1].ball)]
    best = max(sound, key=lambda each: each.quality, default=None)
    if best is not None and best.quality >= MIN_QUALITY:
        return max((pair for pair in pairs if best in pair), key=_mean, default=(best,))
    pair = max(pairs, key=_mean, default=())
    return pair if pair and _mean(pair) >= PAIR_QUALITY else ()


def opposite(right: Ball, left: Ball) -> bool:
    """Whether two fitted balls can be the right and the left head of one patient."""
    alike = abs(left.radius_mm - right.radius_mm) <= RADIUS_DIFFERENCE_MM
    return alike and _across(right, left)


def across_from(candidate: Candidate, ball: Ball) -> bool:
    """Whether a ball lies where the other head of a candidate's patient must lie."""
    if candidate.side == "R":
        return _across(candidate.ball, ball)
    return _across(ball, candidate.ball)


def _across(right: Ball, left: Ball) -> bool:
    backward, down, apart = left.center - right.center
    return bool(
        HIP_DISTANCE_MM[0] <= apart <= HIP_DISTANCE_MM[1]
        and abs(down) <= HIP_SHIFT_MM
        and abs(backward) <= HIP_SHIFT_MM
    )


def _mean(pair: tuple[Candidate, ...]) -> float:
    return sum(each.quality for each in pair) / len(pair)
