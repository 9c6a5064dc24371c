"""Learning rate and end of a fit: pure functions of what the epochs before have shown, so that
a fit that is resumed goes on as if it had never stopped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.presets import Fit


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
    """The number of the epoch with the least validation loss, 0 where there is none."""
    return min(history, key=lambda epoch: epoch.validation_loss).number if history else 0


def is_finished(history: Sequence[Epoch], fit: Fit) -> bool:
    """All epochs done, or too many without a better one."""
    return len(history) >= fit.epochs or len(history) - best_epoch(history) >= fit.early_stop


def learning_rate(history: Sequence[Epoch], fit: Fit) -> float:
    """Of the next epoch.

    ``decay`` : by a factor each epoch, and by another after each plateau (Ha 2024).
    ``cosine`` : from the full rate to zero over all epochs.
    """
    done = len(history)
    if fit.schedule == "cosine":
        return fit.learning_rate * 0.5 * (1 + math.cos(math.pi * done / fit.epochs))
    return fit.learning_rate * fit.decay**done * fit.plateau_factor ** _plateaus(history, fit)


def _plateaus(history: Sequence[Epoch], fit: Fit) -> int:
    """How often ``plateau`` epochs went by without gain; each begins to count anew."""
    best, waited, count = math.inf, 0, 0
    for epoch in history:
        waited += 1
        if epoch.validation_loss < best:
            best, waited = epoch.validation_loss, 0
        elif waited >= fit.plateau:
            waited, count = 0, count + 1
    return count
