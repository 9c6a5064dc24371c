"""Out-of-distribution score, fitted to the features of the training data."""

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
