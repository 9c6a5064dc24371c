"""Where the networks look: Grad-CAM of every test hip, and how much of it lies on the femur."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from training.dataset import Hips
from training.inputs import patient_vectors
from training.results import Results
from training.run import MODEL
from worker import package

Maps = npt.NDArray[np.float16]
"""(n, 250, 250), 0–1."""


def heat_maps(results: Results) -> dict[str, Maps]:
    """Of each model that sees a picture, in the way in which it is asked with the least."""
    patients = patient_vectors(results.test)
    found: dict[str, Maps] = {}
    for name in results.summaries:
        one = results.find(name, "image") or results.find(name, "both")
        if one is None:
            continue
        explain = package.load(one.run_dir / MODEL).explain
        known = patients if one.variant == "both" else np.zeros_like(patients)
        found[one.name] = np.array(
            [
                explain(pixels.astype(np.float32), patient).heat_map
                for pixels, patient in zip(results.test.pixels, known, strict=True)
            ],
            np.float16,
        )
    return found


def femur_share(
    maps: Mapping[str, Maps], right: Mapping[str, npt.NDArray[np.bool_]], test: Hips
) -> dict[str, float]:
    """Mean share of a heat map's mass inside of the true femur, over the correct cases; empty
    where the femur is not known."""
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
