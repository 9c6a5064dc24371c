"""What the training data's features look like, so that the worker can tell strange crops."""

import numpy as np
import numpy.typing as npt

from worker.pipeline.classify import Familiarity

DIRECTIONS = 128
"""Fewer see less, more are as far from other scanners as from other anatomy."""
FALSE_ALARMS = 0.005
"""Share of held-out simulated hips beyond the limit before the margin."""
MARGIN = 1.15
"""On top, for scanners that are not simulated."""


def measure_familiarity(
    train: npt.NDArray[np.floating], validation: npt.NDArray[np.floating]
) -> Familiarity:
    """Fit mean and principal directions to (n, k) training features; the limit is the
    validation features' distance that ``FALSE_ALARMS`` of them exceed, times ``MARGIN``."""
    features = np.asarray(train, np.float64)
    mean = features.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(features.T))
    # Constant features (dead maps) have no direction.
    kept = [i for i in np.argsort(values)[::-1][:DIRECTIONS] if values[i] > 1e-9 * values.max()]
    unlimited = Familiarity(mean, vectors[:, kept] / np.sqrt(values[kept]), limit=np.inf)
    distances = unlimited.distance(validation)
    limit = float(np.quantile(distances, 1 - FALSE_ALARMS)) * MARGIN
    return Familiarity(unlimited.mean, unlimited.whitening, round(limit, 4))
