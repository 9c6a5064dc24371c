"""Covered: the package in git loads, its card agrees with its metrics, it grades clear cases of
simulated patients that were not trained on, and it rejects images that show no hip.
Not covered: its accuracy (worker/shipped/metrics.json); a hip upside down, which it does not
reliably reject (``load`` turns every volume upright)."""

import json

import numpy as np
import numpy.typing as npt
import pytest

from training.cohort.crops import crop_of
from training.cohort.planes import coronal_slice
from training.report.model_card import write_card
from training.simulate.acquisition import Acquisition, sample_acquisition
from training.simulate.subject import Subject, sample_subject
from training.simulate.truth import truth
from worker.pipeline import crop
from worker.pipeline.acquisition import Envelope
from worker.pipeline.model import package
from worker.pipeline.model.classify import ImageModel
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Grade, HipCrop
from worker.pipeline.volume import Femur, PointMm

Pixels = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> ImageModel:
    return package.load(package.SHIPPED_DIR)


def patient(seed: int, t_score: float) -> tuple[Subject, Acquisition]:
    rng = np.random.default_rng([99, seed])
    subject = sample_subject(rng, t_score=t_score)
    return subject, sample_acquisition(
        rng,
        subject,
        plane="coronal",
        view="abdomen-pelvis",
        thickness_mm=3.0,
        kernel="standard",
    )


def crop_at(subject: Subject, acquisition: Acquisition, point_mm: PointMm) -> HipCrop:
    x, y, z = point_mm
    femur = Femur("R", point_mm, 22.0, (x - 20.0, y, z - 20.0), 1.0)
    return crop.crop_hip(coronal_slice(subject, acquisition, femur, point_mm[1]), femur)


@pytest.mark.covers("H13")
def test_shipped_model_is_marked_as_trained_on_simulated_data(model: ImageModel) -> None:
    assert model.info.simulated
    assert "simulated" in model.info.training_data
    assert model.out_of_distribution is not None


def test_shipped_model_describes_the_acquisition_of_its_training_scans(
    model: ImageModel,
) -> None:
    metrics = json.loads((package.SHIPPED_DIR / package.METRICS).read_text())

    assert model.envelope == Envelope.from_json(metrics["training"]["acquisition"])
    assert model.envelope.scans == metrics["training"]["hips"]["train"] == 1934
    assert model.envelope.manufacturers == ()


def test_shipped_card_prints_the_shipped_metrics() -> None:
    metrics = json.loads((package.SHIPPED_DIR / package.METRICS).read_text())

    card = (package.SHIPPED_DIR / package.CARD).read_text()

    assert card == write_card(metrics)
    assert "Not for clinical use" in card
    for inputs in ("image", "both"):
        assert f"{metrics['test'][inputs]['accuracy']['value']:.3f}" in card


def test_shipped_package_is_a_few_megabytes() -> None:
    assert sum(path.stat().st_size for path in package.SHIPPED_DIR.iterdir()) < 5_000_000


@pytest.mark.parametrize(
    ("t_score", "wrong"), [(1.0, Grade.OSTEOPOROSIS), (-4.2, Grade.NORMAL)]
)
def test_clear_cases_do_not_get_the_opposite_grade(
    model: ImageModel, t_score: float, wrong: Grade
) -> None:
    for seed in range(4):
        subject, acquisition = patient(seed, t_score)
        for hip in truth(subject):
            found = crop_of(np.random.default_rng(seed), subject, acquisition, hip)

            result = model.classify(found.pixels, hip.side, found.femur_mm)

            assert result.reason is None
            assert result.probabilities[wrong] < 0.2


@pytest.mark.covers("H9")
def test_images_without_a_hip_are_rejected(model: ImageModel) -> None:
    subject, acquisition = patient(1, -1.8)
    hip = truth(subject)[0]
    found = crop_of(np.random.default_rng(1), subject, acquisition, hip)
    right, femur_mm = found.pixels, found.femur_mm
    rng = np.random.default_rng(0)
    _, y, z = hip.neck_mm
    middle = (truth(subject)[0].center_mm[0] + truth(subject)[1].center_mm[0]) / 2
    without_hip = {
        "blank": np.zeros_like(right),
        "water": np.full_like(right, 64),
        "noise": rng.uniform(0, 255, right.shape).astype(np.float32),
        "quiet noise": np.clip(rng.normal(69, 20, right.shape), 0, 255).astype(np.float32),
        "negative": 255 - right,
        "on its side": np.ascontiguousarray(right.T),
        "lumbar spine": crop_at(subject, acquisition, (middle, y + 40, z + 220)).pixels,
    }

    assert model.classify(right, "R", femur_mm).reason is None
    for name, pixels in without_hip.items():
        reason = model.classify(pixels, "R", femur_mm).reason
        assert reason is not None, name
        assert reason.code is ReasonCode.OUT_OF_DISTRIBUTION
