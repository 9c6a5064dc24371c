"""Calibration: temperature of the probabilities, width of the interval of the T-score."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from training.fit.losses import cross_entropy

LOG_BOUND = 2.0
"""Bound of the logarithm of the temperature, which a useful network does not reach."""


def calibrate(logits: npt.NDArray[np.floating], expected: npt.NDArray[np.intp]) -> float:
    """Return the temperature with the lowest cross-entropy (Guo et al., ICML 2017)."""
    found = minimize_scalar(
        lambda log_t: cross_entropy(logits, expected, float(np.exp(log_t))),
        bounds=(-LOG_BOUND, LOG_BOUND),
        method="bounded",
    )
    return round(float(np.exp(found.x)), 4)


COVERAGE = 0.95


def coverage_quantile(
    predicted: npt.NDArray[np.floating], measured: npt.NDArray[np.floating]
) -> float:
    """Return how many scales around the middle hold ``COVERAGE`` of the measured T-scores.

    ``predicted`` : (n, 2) middle and scale. ``measured`` : (n,). This is the quantile of
    split conformal prediction (Vovk 2005; Lei et al., J Am Stat Assoc 2018;113:1094–1111),
    whose intervals hold at least this share of new hips like the calibration hips. Fewer than
    19 hips give the largest distance.
    """
    distances = np.sort(np.abs(measured - predicted[:, 0]) / predicted[:, 1])
    rank = int(np.ceil((len(distances) + 1) * COVERAGE))
    return float(distances[min(rank, len(distances)) - 1])
