"""Grad-CAM of every test hip, and the share of it that lies on the femur."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from training.cohort.dataset import Hips
from training.fit.batches import patient_vectors
from training.fit.run import MODEL
from training.report.results import Results
from worker.pipeline.femur_shape import STEP_MM
from worker.pipeline.model import package

Maps = npt.NDArray[np.float16]
"""(n, 250, 250), 0–1."""


def heat_maps(results: Results) -> dict[str, Maps]:
    """Return the heat maps of each model with an image input.

    Demographics are given to a network only if it requires them.
    """
    patients = patient_vectors(results.test)
    maps: dict[str, Maps] = {}
    for name in results.summaries:
        model = results.find(name, "image") or results.find(name, "both")
        if model is None:
            continue
        explain = package.load(model.run_dir / MODEL).explain
        demographics = patients if model.variant == "both" else np.zeros_like(patients)
        test = results.test
        distances = [None] * len(patients) if test.femurs is None else test.femurs
        maps[model.name] = np.array(
            [
                explain(pixels.astype(np.float32), patient, _mm(steps)).heat_map
                for pixels, patient, steps in zip(
                    test.pixels, demographics, distances, strict=True
                )
            ],
            np.float16,
        )
    return maps


def _mm(steps: npt.NDArray[np.int8] | None) -> npt.NDArray[np.float32] | None:
    return None if steps is None else steps.astype(np.float32) * np.float32(STEP_MM)


def femur_share(
    maps: Mapping[str, Maps], right: Mapping[str, npt.NDArray[np.bool_]], test: Hips
) -> dict[str, float]:
    """Return the mean share of a heat map's mass inside the true femur, over correct cases.

    The result is empty where the femur outlines are not known.
    """
    if test.outlines is None:
        return {}
    result = {}
    for name, heat in maps.items():
        shares = []
        for index in np.flatnonzero(right[name]).tolist():
            mass = heat[index].astype(np.float32)
            inside = test.outline(index)
            if inside is not None and mass.sum() > 0:
                shares.append(float(mass[inside].sum() / mass.sum()))
        result[name] = float(np.mean(shares)) if shares else float("nan")
    return result
