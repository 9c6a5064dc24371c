"""The variants in which a fitted network is used: without and with demographics."""

from collections.abc import Mapping
from typing import Any

from training.cohort.dataset import Hips
from training.cohort.split import PARTS, SplitPart
from training.evaluate import operating_point
from training.evaluate.operating_point import OperatingPoint
from training.fit.batches import labels
from training.fit.calibration import calibrate, coverage_quantile
from training.fit.train import Fitted, predict
from worker.pipeline.model.classify import probabilities
from worker.pipeline.model.networks import CROP, PATIENT, T_SCORE


def variants_of(fitted: Fitted) -> dict[str, bool]:
    """Return the variants in which a network is measured, each with or without demographics."""
    inputs = fitted.network.input
    if CROP not in inputs:
        return {"demographics": True}
    if PATIENT not in inputs:
        return {"image": False}
    if _accepts_missing_demographics(fitted):
        return {"image": False, "both": True}
    return {"both": True}


def _accepts_missing_demographics(fitted: Fitted) -> bool:
    return str(fitted.network.name).startswith("osteoscreen")


def temperatures_of(fitted: Fitted, validation: Hips) -> dict[str, float]:
    """Return the temperature of each variant, fitted to the validation hips."""
    return {
        name: calibrate(
            predict(fitted.network, validation, with_patient=with_patient).logits,
            labels(validation),
        )
        for name, with_patient in variants_of(fitted).items()
    }


def measure_at_limit(
    fitted: Fitted,
    parts: Mapping[SplitPart, Hips],
    temperatures: Mapping[str, float],
    point: OperatingPoint | None,
) -> dict[str, Any]:
    """Return the limit of each variant, chosen on validation and measured on test hips.

    Empty where no operating point is wished.
    """
    if point is None:
        return {}
    found: dict[str, Any] = {"wish": f"{point.measure} {point.target:g}"}
    for name, with_patient in variants_of(fitted).items():
        limit = None
        for part in PARTS[1:]:  # validation, then test
            hips = parts[part]
            logits = predict(fitted.network, hips, with_patient=with_patient).logits
            scores = probabilities(logits, temperatures[name])[:, operating_point.POSITIVE]
            positive = labels(hips) == operating_point.POSITIVE
            if limit is None:
                limit = operating_point.choose_limit(scores, positive, point)
                found[name] = {"limit": limit}
            measured = operating_point.measure_at(limit, scores, positive, hips.patients)
            found[name][part] = measured
    return {"operating_point": found}


def t_score_quantile(fitted: Fitted, validation: Hips) -> dict[str, float]:
    """Return the wider of the intervals of all variants, in scales of the distribution.

    Empty for a network without a T-score.
    """
    if T_SCORE not in fitted.network.output:
        return {}
    found = []
    for with_patient in variants_of(fitted).values():
        outputs = predict(fitted.network, validation, with_patient=with_patient)
        if outputs.t_score is not None:
            found.append(coverage_quantile(outputs.t_score, validation.t_scores))
    return {"t_score_quantile": round(max(found), 4)}
