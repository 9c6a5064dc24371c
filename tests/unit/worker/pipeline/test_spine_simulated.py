"""Measurement of the lumbar spine of simulated patients against the truth.

Covered: levels and attenuation in two planes; a contrast-filled aorta on the body; kidneys
beside the transverse processes; a spine with little bone, whose femurs are in view.
Not covered: figures over many patients (``python -m tests.bench.spine``).
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.bench.spine import Case, measure
from training.simulate.acquisition import sample_acquisition
from training.simulate.lumbar import SpineSubject, sample_spine_subject
from worker.pipeline.volume import Orientation

USUAL = {"lumbar": 5, "sacralized": False, "last_rib_mm": 85.0, "height_shares": (1.0,) * 10}


def run(subject: SpineSubject, plane: Orientation = "coronal", **scan: Any) -> Case:
    acquisition = sample_acquisition(
        np.random.default_rng(6), subject, plane, "abdomen-pelvis",
        **{"rows": 224, "thickness_mm": 3.0, "kernel": "standard", "kvp": 120} | scan,
    )  # fmt: skip
    return measure(subject, acquisition)


def patient(t_score: float, contrast_hu: float, **lumbar: Any) -> SpineSubject:
    rng = np.random.default_rng(21)
    drawn = sample_spine_subject(rng, t_score=t_score, lumbar=USUAL | lumbar)
    return replace(drawn, body=replace(drawn.body, contrast_hu=contrast_hu))


@pytest.mark.parametrize("plane", ["coronal", "axial"])
@pytest.mark.parametrize(("t_score", "contrast_hu"), [(-0.5, 0.0), (-3.5, 110.0)])
def test_levels_and_attenuation(plane: Orientation, t_score: float, contrast_hu: float) -> None:
    case = run(patient(t_score, contrast_hu), plane)

    assert [one.level for one in case.measured] == ["L1", "L2", "L3", "L4"]
    assert all(one.right_level and one.inside for one in case.measured)
    assert max(abs(one.hu - one.true_hu) for one in case.measured) < 5.0


@pytest.mark.parametrize("contrast_hu", [150.0, 200.0, 280.0])
def test_an_aorta_on_the_body_is_not_part_of_it(contrast_hu: float) -> None:
    """The aorta is denser than a body with little mineral, at times than its cortex."""
    case = run(patient(-2.5, contrast_hu))

    assert case.measured
    assert all(one.inside for one in case.measured)
    assert max(abs(one.hu - one.true_hu) for one in case.measured) < 6.0


@pytest.mark.parametrize(
    "variant",
    [{"lumbar": 4}, {"lumbar": 6}, {"last_rib_mm": 40.0}],
    ids=["four", "six", "ribs"],
)
def test_a_variant_of_the_levels_gives_no_wrong_level(variant: dict[str, Any]) -> None:
    case = run(patient(-1.0, 100.0, **variant))

    assert all(one.right_level for one in case.measured)
