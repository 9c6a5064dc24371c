"""Selection of the proximal femurs of a volume, and of the plane that shows each best."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worker.pipeline.femurs import pairs, planes
from worker.pipeline.femurs.grid import Grid, build_grid
from worker.pipeline.femurs.heads import (
    Floats,
    SphereCandidate,
    SphereCandidates,
    find_spheres,
    hill_climb,
)
from worker.pipeline.femurs.necks import Neck, narrowest, quick_score
from worker.pipeline.femurs.pairs import FemurCandidate, best_pair, opposite_of
from worker.pipeline.femurs.scoring import outward_neck, score
from worker.pipeline.femurs.spheres import fit_roughly, fit_sphere
from worker.pipeline.volume import Femur, Plane, Volume, to_point


@dataclass(frozen=True, slots=True)
class SelectionParameters:
    """Search for femurs among candidate spheres. Sources: see ``femurs``."""

    # Candidates evaluated first, of all, and in the place of the other hip (cost).
    first_candidates: int = 12
    all_candidates: int = 28
    opposite_candidates: int = 20
    # 0034: a hill climb leaves a head with a clear joint space and a thin plate for the socket.
    unclimbed_candidates: int = 4
    # Added to the score of a sphere before it is multiplied by that of its neck; tuned.
    sphere_score_offset: float = 0.15
    # The search ends with a pair of this quality. 0002: real hips have 0.07–0.16.
    sure_quality: float = 0.11
    # 0034: where no hip is found, or a weak one, candidates of this quality are refined and
    # tried again: the first fit of a head with a clear joint space may lie 6 mm off.
    weak_quality: float = 0.07
    promising_quality: float = 0.04
    max_promising: int = 3
    # 0034: and so are the first spheres with a neck as clear: 0.57–0.65 in a head whose plate
    # is too thin to see, at most 0.46 in volumes without a hip.
    promising_neck: float = 0.5
    first_promising: int = 2
    # Limit of sphere × neck of the rough fit: below it, it is no femur, whatever its shaft.
    min_rough_quality: float = 0.03
    # Spheres nearer than this are the same.
    same_sphere_mm: float = 7.0
    # 0002: a fit ends up to 10 mm beside a head without joint space, so fits are started that
    # far to all sides; the best of those apart are scored.
    restart_mm: float = 8.0
    same_fit_mm: float = 2.0
    # 0034: of fits nearer than this to the one of best quality, the roundest of good quality.
    # Farther ones are other spheres, which only neck and shaft distinguish.
    same_head_mm: float = 10.0
    scored_fits: int = 4


PARAMETERS = SelectionParameters()

RESTARTS_MM = PARAMETERS.restart_mm * np.vstack([np.eye(3), -np.eye(3)])


def find_femurs(volume: Volume, grid: Grid | None = None) -> tuple[Femur, ...]:
    """Find the proximal femurs of a canonical coronal volume, right first.

    ``grid`` : its working copy, if it exists. Return none where no candidate is good enough:
    there is no guess.
    """
    if min(volume.hu.shape) < 2:
        return ()
    grid = grid or build_grid(volume)
    found = _find_candidates(grid, find_spheres(grid))
    return tuple(_femur(grid, refine_fit(grid, each)) for each in found)


def _find_candidates(grid: Grid, spheres: SphereCandidates) -> Sequence[FemurCandidate]:
    """Evaluate the first candidates, then more of them, then those opposite the best one."""
    ranked = rank(grid, spheres.best())
    first, last = PARAMETERS.first_candidates, PARAMETERS.all_candidates
    candidates = evaluate_candidates(grid, ranked[:first], [])
    found = best_pair(candidates)
    if not _both_sure(found) and all(each.quality < PARAMETERS.sure_quality for each in found):
        candidates = evaluate_candidates(grid, ranked[first:last], candidates)
        found = best_pair(candidates)
    if found and not _both_sure(found):
        best = max(found, key=lambda each: each.quality)
        opposite = rank(grid, spheres.best(opposite_of(best, spheres.points)))
        opposite = opposite[: PARAMETERS.opposite_candidates]
        found = best_pair(evaluate_candidates(grid, opposite, candidates))
    if all(each.quality < PARAMETERS.weak_quality for each in found):
        found = best_pair([*candidates, *refine_promising(grid, candidates, ranked)])
    return found


def refine_promising(
    grid: Grid,
    candidates: Iterable[FemurCandidate],
    ranked: Sequence[tuple[SphereCandidate, Neck]],
) -> list[FemurCandidate]:
    """Refine the best candidates that are not good enough, and the spheres with clear necks."""
    best_first = sorted(candidates, key=lambda each: -each.quality)
    promising = [each for each in best_first if each.quality >= PARAMETERS.promising_quality]
    refined = [refine_fit(grid, each) for each in promising[: PARAMETERS.max_promising]]
    for sphere, neck in ranked[: PARAMETERS.first_promising]:
        if neck.score >= PARAMETERS.promising_neck:
            unfitted = FemurCandidate(sphere, neck, None, 0.0)
            refined.append(refine_fit(grid, unfitted))
    return refined


def _both_sure(found: Sequence[FemurCandidate]) -> bool:
    sure = pairs.PARAMETERS.min_quality
    return len(found) == 2 and min(each.quality for each in found) >= sure


def refine_fit(grid: Grid, candidate: FemurCandidate) -> FemurCandidate:
    """Return the best of the fits that start on all sides of a candidate.

    Around a weak one, or one not fitted yet, all fits are scored. Spheres of one head share
    neck and shaft, and one that lies too deep in the socket has the longer neck. Their surfaces
    distinguish them, so roundness counts more than the rest.
    """
    sphere, axis = candidate.sphere, candidate.neck.axis
    weak = candidate.quality < PARAMETERS.weak_quality
    fits = list[SphereCandidate]()
    for offset in np.vstack([np.zeros(3), RESTARTS_MM]) if weak else RESTARTS_MM:
        start = replace(sphere, center=sphere.center + offset)
        start = start if weak else hill_climb(grid, start)
        fit = fit_roughly(grid, start, axis)
        if not _is_near(fit, [each.center for each in fits], PARAMETERS.same_fit_mm):
            fits.append(fit)
    fits.sort(key=lambda fit: -fit.roundness)
    scored = fits if weak else fits[: PARAMETERS.scored_fits]
    others = [score(grid, fit_sphere(grid, fit, axis), candidate.shaft) for fit in scored]
    same_side = [each for each in others if each.side == candidate.side]
    return _roundest_near_best([candidate, *same_side])


def _roundest_near_best(fits: Sequence[FemurCandidate]) -> FemurCandidate:
    """Return the roundest of good quality among the fits beside that of best quality."""
    center = max(fits, key=lambda each: each.quality).sphere.center
    near = [each for each in fits if _is_near(each.sphere, [center], PARAMETERS.same_head_mm)]
    return max(near, key=lambda each: each.quality * math.sqrt(each.sphere.roundness))


def choose_plane(volume: Volume, femur: Femur) -> Plane:
    """Return the plane on which a femur is shown (``planes.graded_cuts``: what is graded).

    The nearest slice of a coronal series; a cut through both in a reformatted volume.
    """
    if volume.source_sop_uids:
        return planes.nearest_slice(volume, femur)
    return planes.cut_through(volume, femur)


def rank(grid: Grid, spheres: Iterable[SphereCandidate]) -> list[tuple[SphereCandidate, Neck]]:
    """Return spheres with their necks, by a quick score of both together, best first."""
    offset = PARAMETERS.sphere_score_offset
    ranked = [(sphere, quick_score(grid, sphere)) for sphere in spheres]
    return sorted(ranked, key=lambda both: -(both[0].score + offset) * both[1].score)


def evaluate_candidates(
    grid: Grid,
    ranked: Iterable[tuple[SphereCandidate, Neck]],
    earlier: list[FemurCandidate],
) -> list[FemurCandidate]:
    """Fit and score spheres that may be heads, and append them to the earlier candidates.

    A sphere that moves to the place of an earlier one is left out. The search ends with a pair
    of sure quality.
    """
    candidates = list(earlier)
    seen: list[Floats] = []
    for start, neck in _starts(grid, ranked):
        if _is_near(start, seen):
            continue
        seen.append(start.center)
        candidate = evaluate_candidate(grid, start, neck, candidates)
        if candidate is None:
            continue
        candidates.append(candidate)
        pair = best_pair(candidates)
        sure = PARAMETERS.sure_quality
        if len(pair) == 2 and min(each.quality for each in pair) >= sure:
            break
    return candidates


def _starts(
    grid: Grid, ranked: Iterable[tuple[SphereCandidate, Neck]]
) -> Iterator[tuple[SphereCandidate, Neck]]:
    """Yield each sphere after a hill climb, and the first ones also where they are."""
    for number, (sphere, neck) in enumerate(ranked):
        yield hill_climb(grid, sphere), neck
        if number < PARAMETERS.unclimbed_candidates:
            yield sphere, neck


def evaluate_candidate(
    grid: Grid, start: SphereCandidate, neck: Neck, candidates: Iterable[FemurCandidate]
) -> FemurCandidate | None:
    """Fit and score one sphere; None where it is no head or already a candidate."""
    rough = fit_roughly(grid, start, neck.axis)
    if _is_near(rough, [each.sphere.center for each in candidates if each.quality > 0]):
        return None
    neck, _ = outward_neck(grid, rough)
    if rough.roundness * neck.score < PARAMETERS.min_rough_quality:
        return None
    return score(grid, fit_sphere(grid, rough, neck.axis))


def _is_near(
    sphere: SphereCandidate,
    centers: Iterable[Floats],
    near_mm: float = PARAMETERS.same_sphere_mm,
) -> bool:
    return any(np.linalg.norm(sphere.center - center) < near_mm for center in centers)


def _femur(grid: Grid, candidate: FemurCandidate) -> Femur:
    """Convert a candidate with a shaft to patient coordinates."""
    sphere, axis, shaft = candidate.sphere, candidate.neck.axis, candidate.shaft
    assert shaft is not None  # noqa: S101 - the quality is 0 without one
    sine = np.linalg.norm(np.cross(axis, shaft.direction))
    meeting = sphere.center + axis * shaft.offset_mm / sine
    directions = grid.directions
    return Femur(
        side=candidate.side,
        center_mm=to_point(grid.to_patient(sphere.center)),
        radius_mm=sphere.radius_mm,
        neck_mm=to_point(grid.to_patient(narrowest(grid, sphere, axis))),
        confidence=round(min(1.0, candidate.quality), 3),
        neck_axis=to_point(directions @ axis),
        trochanter_mm=to_point(grid.to_patient(meeting)),
        shaft_direction=to_point(directions @ shaft.direction),
    )
