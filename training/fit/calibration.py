"""Temperature scaling, which calibrates the probabilities of a network."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from training.fit.train import cross_entropy

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
