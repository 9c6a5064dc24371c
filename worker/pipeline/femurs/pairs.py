"""Selection of the patient's hips among the candidates of a volume."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.heads import Floats, SphereCandidate
from worker.pipeline.femurs.necks import Neck
from worker.pipeline.femurs.shafts import Shaft
from worker.pipeline.volume import Side


@dataclass(frozen=True, slots=True)
class PairParameters:
    """Limits of quality, and positions of two hips to each other."""

    # 0002, qualities of true and false candidates: limit for a candidate alone, for one in the
    # place of the other head of such a one, and for the mean of two of which neither is sure
    # but that lie as the hips of one patient do.
    min_quality: float = 0.06
    # 0034: limit for one alone whose neck is this clear: 0.66–0.82 in a head whose plate is too
    # thin to see, at most 0.51 in false candidates.
    clear_neck: float = 0.6
    min_clear_quality: float = 0.05
    min_partner_quality: float = 0.04
    min_pair_quality: float = 0.05

    # Spheres nearer than the first are one head; of two nearer than the second, one at most is
    # a head.
    same_head_mm: float = 10.0
    overlap_mm: float = 25.0
    # Share of a candidate's head quality from which an overlapping one is as good.
    as_good: float = 0.85

    # Anatomy: the centers of adult heads are about 18 cm apart, in one height and depth up to
    # the tilt and rotation of the patient. 0002: rolled by 25°, one is 8 cm behind the other.
    hip_distance_mm: tuple[float, float] = (120.0, 250.0)
    max_down_mm: float = 60.0
    max_backward_mm: float = 90.0
    max_radius_difference_mm: float = 5.0


PARAMETERS = PairParameters()


@dataclass(frozen=True, slots=True, eq=False)
class FemurCandidate:
    """A sphere with neck and shaft; ``quality`` 0–1 is the evidence that it is a femur."""

    sphere: SphereCandidate
    neck: Neck
    shaft: Shaft | None
    quality: float

    @property
    def head_quality(self) -> float:
        """Quality of sphere and neck alone, 0–1."""
        return self.sphere.roundness * self.neck.score

    @property
    def side(self) -> Side:
        """The side to which the neck points, away from the middle of the body."""
        # The third axis of the grid is left.
        return "L" if self.neck.axis[2] > 0 else "R"


def best_pair(candidates: Iterable[FemurCandidate]) -> tuple[FemurCandidate, ...]:
    """Return the best candidate and the best other hip of its patient, right first.

    One where no other hip fits, none where no candidate is good enough.
    """
    known = list(candidates)
    sound = [
        each
        for each in known
        if each.quality >= PARAMETERS.min_partner_quality and not is_doubted(each, known)
    ]
    right = [each for each in sound if each.side == "R"]
    left = [each for each in sound if each.side == "L"]
    pairs = [
        pair for pair in product(right, left) if are_opposite(pair[0].sphere, pair[1].sphere)
    ]
    best = max(sound, key=lambda each: each.quality, default=None)
    if best is not None and _is_sure(best):
        return max((pair for pair in pairs if best in pair), key=_mean, default=(best,))
    pair = max(pairs, key=_mean, default=())
    return pair if pair and _mean(pair) >= PARAMETERS.min_pair_quality else ()


def _is_sure(candidate: FemurCandidate) -> bool:
    clear = candidate.neck.score >= PARAMETERS.clear_neck
    limit = PARAMETERS.min_clear_quality if clear else PARAMETERS.min_quality
    return candidate.quality >= limit


def is_doubted(candidate: FemurCandidate, candidates: Iterable[FemurCandidate]) -> bool:
    """Return whether an overlapping sphere is as good but has no shaft in view.

    Where a pelvis is cut off below the trochanters, a sphere of head and roof of the socket
    together lies high enough to take the true neck for its shaft; the true head beside it has
    no shaft, and a neck to the same side.
    """
    known = list(candidates)
    with_shaft = [each.sphere for each in known if each.shaft is not None]
    same_mm, overlap_mm = PARAMETERS.same_head_mm, PARAMETERS.overlap_mm
    return any(
        each.head_quality >= PARAMETERS.as_good * candidate.head_quality
        and same_mm < _distance_mm(each.sphere, candidate.sphere) < overlap_mm
        and all(_distance_mm(each.sphere, sphere) > same_mm for sphere in with_shaft)
        for each in known
        if each.shaft is None and each.side == candidate.side
    )


def _distance_mm(one: SphereCandidate, other: SphereCandidate) -> float:
    return float(np.linalg.norm(one.center - other.center))


def are_opposite(right: SphereCandidate, left: SphereCandidate) -> bool:
    """Return whether two fitted spheres can be the right and the left head of one patient."""
    difference_mm = abs(left.radius_mm - right.radius_mm)
    alike = difference_mm <= PARAMETERS.max_radius_difference_mm
    return alike and bool(_lie_opposite(right.center, left.center))


def opposite_of(candidate: FemurCandidate, points: Floats) -> npt.NDArray[np.bool_]:
    """Return the (n,) mask of (n, 3) points at which the patient's other head may lie."""
    if candidate.side == "R":
        return _lie_opposite(candidate.sphere.center, points)
    return _lie_opposite(points, candidate.sphere.center)


def _lie_opposite(right: Floats, left: Floats) -> npt.NDArray[np.bool_]:
    """Return whether (…, 3) points can be the centers of a right and a left head."""
    backward, down, apart = np.moveaxis(left - right, -1, 0)
    nearest_mm, farthest_mm = PARAMETERS.hip_distance_mm
    return np.asarray(
        (nearest_mm <= apart)
        & (apart <= farthest_mm)
        & (np.abs(down) <= PARAMETERS.max_down_mm)
        & (np.abs(backward) <= PARAMETERS.max_backward_mm)
    )


def _mean(pair: tuple[FemurCandidate, ...]) -> float:
    return sum(each.quality for each in pair) / len(pair)
