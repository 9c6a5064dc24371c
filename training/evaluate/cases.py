"""What a model makes of one hip beside its grade: T-score, features, picture of its Grad-CAM.

The worker reports none of these T-scores (docs/decisions/0016-training.md).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image

from worker.pipeline.demographics import Demographics
from worker.pipeline.model.classify import ImageModel, as_right, probabilities
from worker.pipeline.results import GradedCrops
from worker.pipeline.volume import Side

Floats = npt.NDArray[np.float32]

LOGISTIC_QUANTILE = float(np.log(0.975 / 0.025))
"""Scales around the middle that hold 95 % of a logistic distribution, for packages without a
``t_score_quantile`` of their own."""
HEAT_SHARE = 0.3
"""Ha 2024: overlay of 0.7 image and 0.3 heat map."""
BRIGHTEST = 160.0
"""Value of the crop (755 HU) that is drawn white."""


@dataclass(frozen=True, slots=True)
class HipOutputs:
    """Outputs for one hip: by the image alone, and as the worker uses the demographics.

    ``image``, ``used`` : (3,) probabilities. ``t_score`` : estimate, lower and upper end of
    the 95 % interval, None for a network without. ``features`` : (k,) float32.
    """

    image: tuple[float, ...]
    used: tuple[float, ...]
    t_score: tuple[float, float, float] | None
    features: Floats


def outputs_of(
    model: ImageModel,
    header: Mapping[str, Any],
    crops: GradedCrops,
    side: Side,
    patient: Demographics,
) -> HipOutputs:
    """Return the outputs of a model for one hip; ``header`` : ``model.json`` of the model."""
    pixels, femur_mm = as_right(crops.pixels, side), as_right(crops.femur_mm, side)
    informed = model.for_patient(patient)
    known = None if informed.patient is None else informed.patient.vector()
    found = model.explain(pixels, known, femur_mm)
    image = tuple(probabilities(found.image_logits, model.temperature).tolist())
    used = tuple(probabilities(found.logits, informed.temperature).tolist())
    quantile = header.get("t_score_quantile") or LOGISTIC_QUANTILE
    estimate = None if found.t_score is None else interval_of(found.t_score, quantile)
    return HipOutputs(image, used, estimate, found.features)


def interval_of(t_score: Floats, quantile: float) -> tuple[float, float, float]:
    """Return estimate, lower and upper end from (2,) middle and scale."""
    middle, scale = (float(value) for value in t_score)
    return middle, middle - quantile * scale, middle + quantile * scale


def case_name(series_dir: str, side: Side) -> str:
    """Return the file name of a hip's picture, which holds no identifier."""
    return f"{hashlib.sha256(f'{series_dir}|{side}'.encode()).hexdigest()[:16]}-{side}.png"


def save_picture(path: Path, pixels: Floats, heat_map: Floats) -> None:
    """Write crop and crop with Grad-CAM side by side, 500 × 250 px.

    ``pixels`` : (250, 250), 0–255. ``heat_map`` : (250, 250), 0–1.
    """
    gray = np.repeat(np.clip(pixels / BRIGHTEST, 0, 1)[..., np.newaxis], 3, axis=-1)
    heat = colormaps["inferno"](heat_map)[..., :3]
    both = np.concatenate([gray, (1 - HEAT_SHARE) * gray + HEAT_SHARE * heat], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * both).round().astype(np.uint8)).save(path)
