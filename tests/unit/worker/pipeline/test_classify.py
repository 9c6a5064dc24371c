"""Covered: mirroring, calibration, abstention, repeatability and threads, on a real (untrained)
network. Not covered: whether the grades are right (the shipped model's metrics)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tests.model_factory import DESCRIPTION, make_untrained_package
from worker import package
from worker.model import build
from worker.pipeline.classify import (
    WITH_DEMOGRAPHICS,
    Familiarity,
    ImageModel,
    probabilities,
)
from worker.pipeline.demographics import Demographics
from worker.pipeline.results import Grade, ReasonCode

Pixels = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ImageModel:
    return package.load(make_untrained_package(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    """Lopsided, so that mirroring shows."""
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


def test_side_matters(model: ImageModel, pixels: Pixels) -> None:
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


def test_strange_crop_is_flagged_with_its_distance(model: ImageModel, pixels: Pixels) -> None:
    features = model.explain(pixels).features.astype(np.float64)
    near = Familiarity(features, np.eye(features.size), limit=0.5)
    far = Familiarity(features + 2.0, np.eye(features.size), limit=0.5)

    assert replace(model, familiarity=near).classify(pixels, "R").reason is None
    reason = replace(model, familiarity=far).classify(pixels, "R").reason
    assert reason is not None
    assert reason.code is ReasonCode.OUT_OF_DISTRIBUTION
    assert "distance 2.0, limit 0.5" in reason.text


def test_features_that_are_no_numbers_are_flagged(model: ImageModel, pixels: Pixels) -> None:
    k = model.explain(pixels).features.size
    broken = Familiarity(np.full(k, np.nan), np.eye(k), limit=1e9)

    assert replace(model, familiarity=broken).classify(pixels, "R").reason is not None


def test_distance_counts_standard_deviations() -> None:
    familiarity = Familiarity(np.array([1.0, 2.0]), np.diag([1 / 3, 1 / 4]), limit=1.0)

    distances = familiarity.distance(np.array([[1.0, 2.0], [4.0, 6.0], [7.0, 2.0]]))

    np.testing.assert_allclose(distances, [0, 1, np.sqrt(2)])


def test_temperature_softens_and_keeps_the_order() -> None:
    logits = np.array([[2.0, 1.0, -1.0], [1000.0, 0.0, -1000.0]])

    plain, soft = probabilities(logits, 1.0), probabilities(logits, 4.0)

    np.testing.assert_allclose(plain[0], np.exp(logits[0]) / np.exp(logits[0]).sum(), atol=1e-6)
    assert soft[0, 0] < plain[0, 0]
    assert np.argsort(soft[0]).tolist() == np.argsort(plain[0]).tolist()
    np.testing.assert_allclose(plain[1], [1, 0, 0])


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> ImageModel:
    """A model that may know the patient."""
    folder = tmp_path_factory.mktemp("knowing")
    network = build("osteoscreen")
    description = replace(DESCRIPTION, preset="osteoscreen")
    package.save(folder, network, description, temperature=2.0, patient_temperature=1.5)
    return package.load(folder)


def test_model_with_demographics_says_so_and_without_one_of_them_goes_by_the_picture(
    knowing: ImageModel, pixels: Pixels
) -> None:
    whole = Demographics("F", 80.0, 1.55, 50.0)

    asked = knowing.for_patient(whole)

    assert (asked.info.modality, asked.temperature) == (WITH_DEMOGRAPHICS, 1.5)
    assert (
        asked.classify(pixels, "R").probabilities != knowing.classify(pixels, "R").probabilities
    )
    for lacking in ("sex", "age", "height_m", "weight_kg"):
        alone = knowing.for_patient(replace(whole, **{lacking: None}))
        assert (alone.info.modality, alone.temperature) == ("image", 2.0)
        assert alone.patient is None


def test_model_of_pictures_alone_never_takes_demographics(model: ImageModel) -> None:
    assert model.for_patient(Demographics("F", 80.0, 1.55, 50.0)) is model
