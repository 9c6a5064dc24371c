"""Bone density and attenuation as a function of the femoral-neck T-score.

Sources: Looker 1998 (NHANES III) for the reference BMD; for attenuation against T-score at
the femoral neck J Korean Soc Radiol 2021;82:173–181 (mean 131.9, 98.9 and 41.3 HU for
normal, osteopenia and osteoporosis; r² 0.68 against T-score).
"""

from dataclasses import dataclass

import numpy as np

# Looker et al., Osteoporos Int 1998;8:468–489: femoral neck, non-Hispanic white women 20–29 y.
REFERENCE_BMD_G_CM2 = 0.858
REFERENCE_BMD_SD_G_CM2 = 0.120

DXA_PRECISION_G_CM2 = 0.015
"""Short-term precision error of a femoral-neck BMD, about 2 %."""

NECK_HU_AT_ZERO = 168.0
NECK_HU_PER_T = 39.0
"""A line through the three published group means (T about −0.6, −1.8, −3.2)."""
NECK_HU_SCATTER = 21.0
"""Scatter of trabecular attenuation at a given BMD. Tube voltage, contrast medium and
calibration raise it to about 30 HU, in agreement with the published r²."""
CORTEX_SCATTER = 0.09

# Contrast of bone mineral relative to 120 kVp; marrow hardly changes. The values lie between
# attenuation coefficients (larger change) and cohorts (smaller change): docs/decisions/0003.
MINERAL_OF_KVP = {80: 1.32, 100: 1.12, 120: 1.0, 140: 0.93}
IODINE_OF_KVP = {80: 1.65, 100: 1.26, 120: 1.0, 140: 0.84}


@dataclass(frozen=True, slots=True)
class BoneDensity:
    """The bone of one hip, at 120 kVp.

    ``neck_hu`` : trabecular attenuation in the middle of the neck, marrow included.
    ``marrow_hu`` : attenuation without mineral. ``cortex_hu`` : attenuation of full cortex.
    ``cortex_scale`` : cortical thickness relative to a young woman's (1.0).
    """

    neck_hu: float
    marrow_hu: float
    cortex_hu: float
    cortex_scale: float


def bmd_of_t_score(t_score: float) -> float:
    """Return the areal BMD of the femoral neck in g/cm² (Looker 1998)."""
    return REFERENCE_BMD_G_CM2 + REFERENCE_BMD_SD_G_CM2 * t_score


def sample_density(rng: np.random.Generator, t_score: float, age_years: float) -> BoneDensity:
    """Return random bone for a measured T-score: precision error, then biological scatter."""
    error = rng.normal(0.0, DXA_PRECISION_G_CM2) / REFERENCE_BMD_SD_G_CM2
    true_t = t_score + error
    neck = NECK_HU_AT_ZERO + NECK_HU_PER_T * true_t + rng.normal(0.0, NECK_HU_SCATTER)
    marrow = -38.0 - 0.3 * (age_years - 40.0) + rng.normal(0.0, 12.0)
    marrow = float(np.clip(marrow, -85.0, -5.0))
    cortex_scale = (1.0 + 0.125 * true_t) * (1.0 + rng.normal(0.0, CORTEX_SCATTER))
    return BoneDensity(
        neck_hu=float(max(neck, marrow + 18.0)),
        marrow_hu=marrow,
        cortex_hu=float(np.clip(1180.0 + 55.0 * true_t + rng.normal(0.0, 70.0), 780.0, 1500.0)),
        cortex_scale=float(np.clip(cortex_scale, 0.42, 1.45)),
    )
