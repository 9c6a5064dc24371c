"""Covered: mirroring, calibration, rejection, repeatability and threads, on a real (untrained)
network. Not covered: the accuracy of the grades (the shipped model's metrics)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from tests.support.model_factory import DESCRIPTION, make_untrained_package
from worker.pipeline.demographics import Demographics
from worker.pipeline.model import package
from worker.pipeline.model.classify import (
    WITH_DEMOGRAPHICS,
    ImageModel,
    OutOfDistributionScore,
    probabilities,
)
from worker.pipeline.model.networks import build
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Grade

Pixels = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ImageModel:
    return package.load(make_untrained_package(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    """Return an asymmetric crop, so that mirroring changes it."""
    rng = np.random.default_rng(5)
    picture = rng.uniform(40, 90, (250, 250))
    picture[60:140, 150:220] += 120
    return picture.astype(np.float32)


def test_probabilities_are_of_all_grades_and_sum_to_one(
    model: ImageModel, pixels: Pixels
) -> None:
    result = model.classify(pixels, "R")

    assert tuple(result.probabilities) == tuple(Grade)
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=3e-6)
    assert all(0 <= share <= 1 for share in result.probabilities.values())


def test_left_hip_is_graded_as_its_mirror_image(model: ImageModel, pixels: Pixels) -> None:
    right = model.classify(pixels, "R")
    left = model.classify(np.ascontiguousarray(pixels[:, ::-1]), "L")

    assert left.probabilities == right.probabilities
    np.testing.assert_array_equal(left.heat_map, right.heat_map[:, ::-1])


def test_grade_depends_on_the_side(model: ImageModel, pixels: Pixels) -> None:
    assert (
        model.classify(pixels, "L").probabilities != model.classify(pixels, "R").probabilities
    )


def test_same_crop_gives_the_same_result_in_many_threads(
    model: ImageModel, pixels: Pixels
) -> None:
    expected = model.classify(pixels, "R")

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: model.classify(pixels, "R"), range(24)))

    for result in results:
        assert result.probabilities == expected.probabilities
        np.testing.assert_array_equal(result.heat_map, expected.heat_map)


def test_second_load_gives_the_same_result(
    model: ImageModel, pixels: Pixels, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again = package.load(make_untrained_package(tmp_path_factory.mktemp("again")))

    first, second = model.classify(pixels, "L"), again.classify(pixels, "L")

    assert first.probabilities == second.probabilities
    np.testing.assert_array_equal(first.heat_map, second.heat_map)


@pytest.mark.covers("H9")
def test_out_of_distribution_crop_is_rejected_with_its_distance(
    model: ImageModel, pixels: Pixels
) -> None:
    features = model.explain(pixels).features.astype(np.float64)
    near = OutOfDistributionScore(features, np.eye(features.size), limit=0.5)
    far = OutOfDistributionScore(features + 2.0, np.eye(features.size), limit=0.5)

    assert replace(model, out_of_distribution=near).classify(pixels, "R").reason is None
    assert replace(model, out_of_distribution=far).classify(pixels, "R").reason == Reason(
        ReasonCode.OUT_OF_DISTRIBUTION,
        "The crop is unlike the hips that the model was trained on "
        "(distance 2.00, limit 0.50).",
    )


def test_features_that_are_no_numbers_are_rejected(model: ImageModel, pixels: Pixels) -> None:
    k = model.explain(pixels).features.size
    broken = OutOfDistributionScore(np.full(k, np.nan), np.eye(k), limit=1e9)

    assert replace(model, out_of_distribution=broken).classify(pixels, "R").reason == Reason(
        ReasonCode.OUT_OF_DISTRIBUTION,
        "The crop is unlike the hips that the model was trained on "
        "(distance nan, limit 1000000000.00).",
    )


def test_distance_counts_standard_deviations() -> None:
    score = OutOfDistributionScore(np.array([1.0, 2.0]), np.diag([1 / 3, 1 / 4]), limit=1.0)

    distances = score.distance(np.array([[1.0, 2.0], [4.0, 6.0], [7.0, 2.0]]))

    np.testing.assert_allclose(distances, [0, 1, np.sqrt(2)])


def test_temperature_softens_and_keeps_the_order() -> None:
    logits = np.array([[2.0, 1.0, -1.0], [1000.0, 0.0, -1000.0]])

    plain, soft = probabilities(logits, 1.0), probabilities(logits, 4.0)

    np.testing.assert_allclose(plain[0], np.exp(logits[0]) / np.exp(logits[0]).sum(), atol=1e-6)
    assert soft[0, 0] < plain[0, 0]
    assert np.argsort(soft[0]).tolist() == np.argsort(plain[0]).tolist()
    np.testing.assert_allclose(plain[1], [1, 0, 0])


@pytest.fixture(scope="module")
def multimodal(tmp_path_factory: pytest.TempPathFactory) -> ImageModel:
    """A model that takes demographics."""
    folder = tmp_path_factory.mktemp("multimodal")
    network = build("osteoscreen-femur")
    description = replace(DESCRIPTION, preset="osteoscreen-femur")
    calibration = package.Calibration(temperature=2.0, patient_temperature=1.5)
    package.save(folder, network, description, calibration=calibration)
    return package.load(folder)


def test_demographics_are_used_where_all_are_known_and_otherwise_the_crop_alone(
    multimodal: ImageModel, pixels: Pixels
) -> None:
    whole = Demographics("F", 80.0, 1.55, 50.0)
    femur_mm = np.full(pixels.shape, -20, np.float32)

    with_patient = multimodal.for_patient(whole)

    assert (with_patient.info.modality, with_patient.temperature) == (WITH_DEMOGRAPHICS, 1.5)
    probabilities_with, probabilities_without = (
        each.classify(pixels, "R", femur_mm).probabilities
        for each in (with_patient, multimodal)
    )
    assert probabilities_with != probabilities_without
    alone = max(probabilities_without, key=probabilities_without.__getitem__)
    assert with_patient.classify(pixels, "R", femur_mm).image_grade is alone
    assert multimodal.classify(pixels, "R", femur_mm).image_grade is None
    for lacking in ("sex", "age", "height_m", "weight_kg"):
        alone = multimodal.for_patient(replace(whole, **{lacking: None}))
        assert (alone.info.modality, alone.temperature) == ("image", 2.0)
        assert alone.patient is None


def test_model_of_the_crop_alone_never_takes_demographics(model: ImageModel) -> None:
    assert model.for_patient(Demographics("F", 80.0, 1.55, 50.0)) is model


def test_the_finders_femur_is_required_and_mirrored_with_its_hip(
    tmp_path: Path, pixels: Pixels
) -> None:
    keras.utils.set_random_seed(9)
    description = replace(DESCRIPTION, preset="osteoscreen-femur")
    package.save(tmp_path, build("osteoscreen-femur"), description)
    model = package.load(tmp_path)
    rows, columns = np.mgrid[:250, :250]
    femur_mm = np.hypot(rows - 100, columns - 190).astype(np.float32) - 40

    right = model.classify(pixels, "R", femur_mm)
    left, elsewhere = (
        model.classify(pixels[:, ::-1], "L", each) for each in (femur_mm[:, ::-1], femur_mm)
    )

    assert left.probabilities == right.probabilities
    assert elsewhere.probabilities != right.probabilities
    with pytest.raises(ValueError, match="needs the distances from the femur"):
        model.classify(pixels, "R")
