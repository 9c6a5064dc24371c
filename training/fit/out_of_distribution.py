"""Out-of-distribution score, fitted to the features of the training data."""

from typing import Any

import numpy as np
import numpy.typing as npt

from worker.pipeline.model.classify import OutOfDistributionScore

DIRECTIONS = 128
"""Number of principal directions. Fewer detect less; with more, the distance to crops of other
scanners is as large as the distance to other anatomy."""
FALSE_ALARMS = 0.005
"""Share of held-out simulated hips beyond the limit before the margin is applied."""
MARGIN = 1.15
"""Factor on the limit, for scanners that are not simulated."""


def fit_out_of_distribution_score(
    train: npt.NDArray[np.floating], validation: npt.NDArray[np.floating]
) -> OutOfDistributionScore:
    """Return the score with mean and principal directions of (n, k) training features.

    The limit is the distance that a share of ``FALSE_ALARMS`` of the validation features
    exceeds, times ``MARGIN``.
    """
    features = np.asarray(train, np.float64)
    mean = features.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(features.T))
    # Constant features (dead feature maps) have no direction.
    kept = [i for i in np.argsort(values)[::-1][:DIRECTIONS] if values[i] > 1e-9 * values.max()]
    unlimited = OutOfDistributionScore(
        mean, vectors[:, kept] / np.sqrt(values[kept]), limit=np.inf
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
        "margin": MARGIN,
        "test_flagged": round(float(np.mean(distances > score.limit)), 4),
        "test_median": round(float(np.median(distances)), 4),
    }
