"""Figures of another model, the shipped one, for the same crops."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.evaluate.hip_evaluation import HipEvaluation
from training.evaluate.measures import (
    RESAMPLES,
    accuracy,
    macro_auc,
    measure_performance,
    paired_difference,
    patient_draws,
)


def compare(
    evaluations: Sequence[HipEvaluation],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Return the figures of the baseline on the graded hips, and the paired differences.

    A difference is that of the model minus that of the baseline.
    """
    graded = [hip for hip in evaluations if hip.baseline_used is not None]
    if not graded:
        return {}
    expected = np.array([hip.expected for hip in graded], np.intp)
    patients = np.array([hip.patient for hip in graded])
    draws = patient_draws(patients, rng, resamples)
    compared: dict[str, Any] = {}
    for variant in ("image", "used"):
        ours = np.array([getattr(hip, variant) for hip in graded])
        theirs = np.array([getattr(hip, f"baseline_{variant}") for hip in graded])
        compared[variant] = measure_performance(theirs, expected, patients, rng, resamples) | {
            "difference": {
                name: paired_difference(ours, theirs, expected, draws, measure)
                for name, measure in (("accuracy", accuracy), ("macro_auc", macro_auc))
            }
        }
    return compared
