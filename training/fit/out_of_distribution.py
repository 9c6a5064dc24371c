"""Out-of-distribution score, fitted to the features of the training data.

A network that sees the finder's femur alone is also shown what is no femur: the same crops,
displaced under the outline of the femur (``displaced``). The direction that separates both is a
better score than the distance from the training data alone (decision 0041).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from worker.pipeline.crop import CROP_PX
from worker.pipeline.model.classify import OutOfDistributionScore

DIRECTIONS = 128
"""Number of principal directions. Fewer detect less; with more, the distance to crops of other
scanners is as large as the distance to other anatomy."""
FALSE_ALARMS = 0.005
"""Share of held-out simulated hips beyond the limit before the margin is applied."""
MISSES = 0.01
"""Share of held-out displaced crops within the limit, of a score that was fitted to such."""
MARGIN = 1.15
"""Factor on the limit, for scanners that are not simulated."""

DISPLACED_PX = (45.0, 110.0)
"""Distance by which a crop is displaced: the head, 22 px in radius, is then somewhere else."""
RIDGE = 0.1
"""Added to the variance of whitened directions (1 over both kinds of crops)."""
MEAN_DISPLACED = 2.0
"""Distance of the mean displaced crop; that of the mean hip is 0."""


def fit_out_of_distribution_score(
    train: npt.NDArray[np.floating], validation: npt.NDArray[np.floating]
) -> OutOfDistributionScore:
    """Return the score with mean and principal directions of (n, k) training features.

    The limit is the distance that a share of ``FALSE_ALARMS`` of the validation features
    exceeds, times ``MARGIN``.
    """
    features = np.asarray(train, np.float64)
    unlimited = OutOfDistributionScore(
        features.mean(axis=0), _whitening(features), limit=np.inf
    )
    distances = unlimited.distance(validation)
    limit = float(np.quantile(distances, 1 - FALSE_ALARMS)) * MARGIN
    return OutOfDistributionScore(unlimited.mean, unlimited.whitening, round(limit, 4))


def describe(
    score: OutOfDistributionScore, distances: npt.NDArray[np.floating]
) -> dict[str, Any]:
    """Return ``familiarity`` of ``run.json``; ``distances`` : (n,) of the test hips."""
    return {
        "limit": score.limit,
        "directions": score.whitening.shape[1],
        "false_alarms_allowed": FALSE_ALARMS,
        "test_flagged": round(float(np.mean(distances > score.limit)), 4),
        "test_median": round(float(np.median(distances)), 4),
    }


def _whitening(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (k, d) principal directions divided by their standard deviations."""
    values, vectors = np.linalg.eigh(np.cov(features.T))
    # Constant features (dead feature maps) have no direction.
    kept = [i for i in np.argsort(values)[::-1][:DIRECTIONS] if values[i] > 1e-9 * values.max()]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def displaced(
    pixels: npt.NDArray[np.floating], rng: np.random.Generator
) -> npt.NDArray[np.floating]:
    """Return (n, 250, 250) crops, each with another part of the body where the femur was.

    A crop is turned over at random and moved by ``DISPLACED_PX`` in a random direction, around
    its border.
    """
    result = np.empty_like(pixels)
    for index, crop in enumerate(pixels):
        rows, columns = rng.choice([1, -1], 2)
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(*DISPLACED_PX)
        shift = np.rint(distance * np.array([np.sin(angle), np.cos(angle)])) % CROP_PX
        moved = np.roll(crop[::rows, ::columns], tuple(shift.astype(int)), (0, 1))
        result[index] = moved
    return result


def fit_discriminant(
    train: npt.NDArray[np.floating],
    train_displaced: npt.NDArray[np.floating],
    validation: npt.NDArray[np.floating],
    validation_displaced: npt.NDArray[np.floating],
) -> OutOfDistributionScore:
    """Return the score along the direction that separates hips from displaced crops.

    All arguments are (n, k) features. The direction is Fisher's linear discriminant (Fisher,
    Ann Eugen 1936;7:179–188) over the leading principal directions of both. The limit is the
    middle between the distance that a share of ``FALSE_ALARMS`` of the validation hips exceeds
    and the one that a share of ``MISSES`` of their displaced crops stays below.
    """
    known = [np.asarray(part, np.float64) for part in (train, train_displaced)]
    whitening = _whitening(np.concatenate(known))
    hips, others = (part @ whitening for part in known)
    within = (np.cov(hips.T) + np.cov(others.T)) / 2 + RIDGE * np.eye(hips.shape[1])
    difference = others.mean(axis=0) - hips.mean(axis=0)
    direction = np.linalg.solve(within, difference)
    direction *= MEAN_DISPLACED / (difference @ direction)
    score = OutOfDistributionScore(
        known[0].mean(axis=0), (whitening @ direction)[:, None], limit=np.inf
    )
    farthest = np.quantile(score.distance(validation), 1 - FALSE_ALARMS)
    nearest = np.quantile(score.distance(validation_displaced), MISSES)
    return OutOfDistributionScore(
        score.mean, score.whitening, round(float(farthest + nearest) / 2, 4)
    )
