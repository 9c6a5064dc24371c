"""Gates of packaging: what speaks against giving a run to a worker."""

import math
from collections.abc import Mapping
from typing import Any

from training.fit.calibration import LOG_BOUND

MIN_HIPS = 30
"""Hips of a part below which a share has a 95 % interval of about ±18 points."""
BOUND_TOLERANCE = 0.02


def objections(metrics: Mapping[str, Any]) -> list[str]:
    """Return the reasons against a package, as sentences; ``metrics`` : ``run.json``."""
    training = metrics["training"]
    found = [
        f"the part {part} has {training['hips'][part]} hips of {training['patients'][part]} "
        f"patients; at least {MIN_HIPS} hips are needed"
        for part in ("validation", "test")
        if training["hips"][part] < MIN_HIPS
    ]
    for name, value in metrics["model"]["temperatures"].items():
        if abs(math.log(value)) > LOG_BOUND - BOUND_TOLERANCE:
            found.append(
                f"the temperature {value} ({name}) is at its bound: the probabilities are not "
                "calibrated"
            )
    for name, measured in metrics["test"].items():
        found += _weak(name, measured)
    return found


def _weak(name: str, measured: Mapping[str, Any]) -> list[str]:
    found = []
    for grade, figures in measured["per_grade"].items():
        if not figures["hips"]:
            found.append(f"no test hip has {grade}")
        elif not figures["sensitivity"]["value"]:
            found.append(
                f"the sensitivity for {grade} ({name}) is 0 on {figures['hips']} test hips"
            )
    low = measured["macro_auc"]["low"]
    if low is not None and low <= 0.5:
        found.append(f"the macro AUC ({name}) may be that of chance: it is at least {low}")
    return found
