"""The out-of-distribution score of a trained network."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from training.cohort.dataset import Hips
from training.cohort.split import SplitPart
from training.fit import out_of_distribution
from training.fit.batches import Batches
from training.fit.train import Fitted, predict
from training.presets import Preset
from worker.pipeline.model.classify import OutOfDistributionScore
from worker.pipeline.model.networks import CROP, FEATURES, FEMUR_MM


def fit_score(
    fitted: Fitted, parts: Mapping[SplitPart, Hips], preset: Preset, seed: int
) -> OutOfDistributionScore | None:
    """Return the score fitted to the training crops, both unchanged and augmented.

    That of a network which takes the finder's femur separates hips from displaced crops.
    """
    if CROP not in fitted.network.input:
        return None
    features = [predict(fitted.network, parts["train"]).features]
    for inputs, _ in Batches(parts["train"], preset, seed, fitted.network.input, ()).epoch(0):
        features.append(fitted.network(inputs, training=False)[FEATURES].numpy())
    train, validation = (
        np.concatenate(features),
        predict(fitted.network, parts["validation"]).features,
    )
    if FEMUR_MM not in fitted.network.input:
        return out_of_distribution.fit_out_of_distribution_score(train, validation)
    rng = np.random.default_rng([seed, 4])
    others = [
        predict(fitted.network, _displaced(parts[name], rng)).features
        for name in ("train", "validation")
    ]
    return out_of_distribution.fit_discriminant(train, others[0], validation, others[1])


def _displaced(hips: Hips, rng: np.random.Generator) -> Hips:
    return replace(hips, pixels=out_of_distribution.displaced(hips.pixels, rng))


def limit_basis(
    fitted: Fitted, test: Hips, score: OutOfDistributionScore, seed: int
) -> dict[str, float]:
    """Return what the limit rests on beside the hips: a margin, or displaced crops."""
    if FEMUR_MM not in fitted.network.input:
        return {"margin": out_of_distribution.MARGIN}
    others = _displaced(test, np.random.default_rng([seed, 5]))
    distances = score.distance(predict(fitted.network, others).features)
    return {
        "misses_allowed": out_of_distribution.MISSES,
        "displaced_flagged": round(float(np.mean(distances > score.limit)), 4),
    }
