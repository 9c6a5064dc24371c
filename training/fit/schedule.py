"""Learning rate schedule and stopping rule.

All functions depend only on the history, so that a resumed fit continues like an
uninterrupted one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.presets import FitSettings


@dataclass(frozen=True, slots=True)
class Epoch:
    """One finished epoch; losses are cross-entropies of the grade."""

    number: int
    learning_rate: float
    loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


def best_epoch(history: Sequence[Epoch]) -> int:
    """Return the number of the epoch with the lowest validation loss, 0 without epochs."""
    return min(history, key=lambda epoch: epoch.validation_loss).number if history else 0


def is_finished(history: Sequence[Epoch], fit: FitSettings) -> bool:
    """Return whether all epochs are done or too many passed without a better one."""
    return len(history) >= fit.epochs or len(history) - best_epoch(history) >= fit.early_stop


def learning_rate(history: Sequence[Epoch], fit: FitSettings) -> float:
    """Return the learning rate of the next epoch.

    ``decay`` : reduced by one factor each epoch and by another after each plateau (Ha 2024).
    ``cosine`` : reduced from the full rate to zero over all epochs.
    """
    done = len(history)
    if fit.schedule == "cosine":
        return fit.learning_rate * 0.5 * (1 + math.cos(math.pi * done / fit.epochs))
    return fit.learning_rate * fit.decay**done * fit.plateau_factor ** _plateaus(history, fit)


def _plateaus(history: Sequence[Epoch], fit: FitSettings) -> int:
    """Return how often ``plateau`` epochs passed without gain since the last such plateau."""
    best, waited, count = math.inf, 0, 0
    for epoch in history:
        waited += 1
        if epoch.validation_loss < best:
            best, waited = epoch.validation_loss, 0
        elif waited >= fit.plateau:
            waited, count = 0, count + 1
    return count
