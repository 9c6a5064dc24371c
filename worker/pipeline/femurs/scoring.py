"""Score of a fitted sphere as the head of a femur, by its neck and shaft."""

from dataclasses import dataclass, replace

import numpy as np

from worker.pipeline.femurs.grid import Grid, ramp
from worker.pipeline.femurs.heads import SphereCandidate
from worker.pipeline.femurs.necks import Neck, find_neck, flare
from worker.pipeline.femurs.pairs import FemurCandidate
from worker.pipeline.femurs.shafts import Shaft, find_shaft, fit_axis, neck_between
from worker.pipeline.femurs.spheres import unevenness


@dataclass(frozen=True, slots=True)
class ScoringParameters:
    """Limits of a head with neck and shaft. Sources: see ``femurs``."""

    # Limit of sphere × neck: below it, it is no femur, whatever its shaft.
    min_head_quality: float = 0.04
    # Anatomy: smallest radius of an adult head. 0002: heads under 35 mm across are missed.
    min_radius_mm: float = 17.5
    # 0034: distance from the center of a head to the axis of its shaft along the neck, in
    # radii: 1.7–2.3 in real hips, 2.5–2.8 for a sphere of the socket's roof and half of a
    # head. Long and steep necks exist, so such a distance halves the quality at most.
    long_reach_radii: tuple[float, float] = (2.3, 2.7)
    long_reach_share: float = 0.5
    # Distance of the middle of a partial field of view from that of the body.
    max_inward_mm: float = 40.0


PARAMETERS = ScoringParameters()


def score(
    grid: Grid, sphere: SphereCandidate, known_shaft: Shaft | None = None
) -> FemurCandidate:
    """Find neck and shaft of a fitted sphere and compute its quality.

    ``known_shaft`` : that of another sphere of the same head, which is not searched again.

    Quality = roundness × unevenness × neck × flare × shaft² × share of the outward neck.
    """
    neck, outward_share = outward_neck(grid, sphere)
    usual = sphere.radius_mm >= PARAMETERS.min_radius_mm
    if not usual or sphere.roundness * neck.score < PARAMETERS.min_head_quality:
        return FemurCandidate(sphere, replace(neck, score=0.0), None, 0.0)
    if known_shaft is None:
        shaft = find_shaft(grid, sphere, neck)
    else:
        shaft = fit_axis(grid, sphere, neck, known_shaft.top, known_shaft.direction)
    if shaft is None:
        return FemurCandidate(sphere, neck, None, 0.0)
    between = neck_between(grid, sphere, shaft)
    neck_score = max(neck.score, between.score) * flare(grid, sphere, between.axis)
    # Squared: many spheres in the pelvis have a neck, and only the shaft distinguishes them.
    quality = sphere.roundness * neck_score * shaft.score**2 * outward_share
    quality *= unevenness(grid, sphere) * _reach_share(sphere, shaft)
    return FemurCandidate(sphere, replace(between, score=neck_score), shaft, quality)


def _reach_share(sphere: SphereCandidate, shaft: Shaft) -> float:
    """Return 1 for a usual distance of head and shaft, less for a sphere above the head."""
    radii = float(np.linalg.norm(shaft.top - sphere.center)) / sphere.radius_mm
    long_share = float(ramp(np.array(radii), PARAMETERS.long_reach_radii))
    return 1 - (1 - PARAMETERS.long_reach_share) * long_share


def outward_neck(grid: Grid, sphere: SphereCandidate) -> tuple[Neck, float]:
    """Return the neck of a sphere that points away from the middle of the body.

    The other rod beside a head is the upper branch of the pubis, which points inward. Also
    return the score of the outward neck as a share, 0–1, of that of the best one: where the
    inward rod is clearer, the sphere is rather a part of the pelvis.
    """
    neck = find_neck(grid, sphere)
    side = float(np.sign(neck.axis[2]))
    if (sphere.center[2] - grid.middle_mm) * side > -PARAMETERS.max_inward_mm:
        return neck, 1.0
    outward = find_neck(grid, sphere, -side)
    return outward, min(1.0, outward.score / max(neck.score, 1e-6))
