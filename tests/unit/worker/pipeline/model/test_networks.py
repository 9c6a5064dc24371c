"""Covered: shape, names and properties of the untrained networks."""

import re

import keras
import numpy as np
import pytest
from scipy.stats import logistic

from worker.pipeline.model.networks import (
    CROP,
    FEATURES,
    FEMUR_MM,
    GRADES,
    LAST_CONVOLUTION,
    LOGITS,
    PATIENT,
    PRESETS,
    FemurMaskedPooling,
    GradeLogits,
    build,
)
from worker.pipeline.results import Grade


@pytest.fixture(scope="module", params=PRESETS)
def network(request: pytest.FixtureRequest) -> keras.Model:
    keras.utils.set_random_seed(3)
    return build(request.param)


def test_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="compact"):
        build("paper")


def test_grades_are_in_order_of_severity() -> None:
    assert GRADES == (Grade.NORMAL, Grade.OSTEOPENIA, Grade.OSTEOPOROSIS)


def test_network_has_the_inputs_and_outputs_that_others_look_up(network: keras.Model) -> None:
    picture = (None, 250, 250, 1)
    shapes = {CROP: picture, PATIENT: (None, 10), FEMUR_MM: picture}

    assert {name: each.shape for name, each in network.input.items()} == {
        name: shapes[name] for name in network.input
    }
    assert network.output[LOGITS].shape == (None, 3)
    assert network.output[FEATURES].shape[0] is None
    if CROP in network.input:
        assert len(network.get_layer(LAST_CONVOLUTION).output.shape) == 4


def test_every_layer_with_weights_has_a_name_of_its_own(network: keras.Model) -> None:
    automatic = re.compile(r"(conv2d|dense|batch_normalization)(_\d{1,2})?")

    assert not [layer.name for layer in network.layers if automatic.fullmatch(layer.name)]


@pytest.mark.parametrize("preset", ["compact", "osteoscreen-femur"])
def test_one_hu_more_everywhere_moves_the_logits(preset: str) -> None:
    """Density is the signal: no layer may remove it by normalization."""
    keras.utils.set_random_seed(3)
    network = build(preset)
    crop = np.full((1, 250, 250, 1), 100, np.float32)

    def logits(pixels: np.ndarray) -> np.ndarray:
        every = {
            CROP: pixels,
            PATIENT: np.zeros((1, 10), np.float32),
            FEMUR_MM: np.full((1, 250, 250, 1), -20, np.float32),
        }
        inputs = {name: every[name] for name in network.input}
        return np.asarray(network(inputs, training=False)[LOGITS])

    assert np.abs(logits(crop + 255 / 2000) - logits(crop)).max() > 1e-5


def test_grades_are_the_mass_between_the_who_limits() -> None:
    t_scores = np.array([[-1.75, 0.4], [0.5, 0.2], [-6.0, 0.11]], np.float32)

    shares = np.exp(np.asarray(GradeLogits()(t_scores)))

    below = logistic.cdf(np.array([[-2.5, -1.0]]), t_scores[:, :1], t_scores[:, 1:])
    expected = np.stack([1 - below[:, 1], below[:, 1] - below[:, 0], below[:, 0]], axis=1)
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)


def test_grades_far_from_a_limit_have_finite_logits() -> None:
    logits = np.asarray(GradeLogits()(np.array([[40.0, 0.1], [-40.0, 0.1]], np.float32)))

    assert np.all(np.isfinite(logits))
    assert logits.argmax(axis=1).tolist() == [0, 2]


def test_only_maps_on_the_femur_are_kept_with_their_mean() -> None:
    rng = np.random.default_rng(1)
    maps = rng.uniform(0, 2, (1, 16, 16, 5)).astype(np.float32)
    femur = np.full((1, 16, 16, 1), -30, np.float32)
    femur[:, 4:12, 6:] = 30
    share = np.zeros_like(femur)
    share[:, :, :9] = 1

    seen = np.asarray(FemurMaskedPooling()([maps, femur, share]))

    assert seen[(femur < 0)[..., 0] | (share == 0)[..., 0]].max() < 1e-6
    # The constant that keeps the divisor from zero, 0.02, is a fifth of the femur's share.
    mean = maps[:, 4:12, 6:9].mean(axis=(1, 2))
    np.testing.assert_allclose(seen.mean(axis=(1, 2)), mean, rtol=0.25)


def test_nothing_beside_the_finders_femur_has_an_effect() -> None:
    keras.utils.set_random_seed(3)
    network = build("osteoscreen-femur")
    rng = np.random.default_rng(4)
    pixels = rng.uniform(60, 160, (1, 250, 250, 1)).astype(np.float32)
    row, column = np.mgrid[:250, :250]
    femur_mm = np.hypot(row - 125, column - 110).astype(np.float32)[None, ..., None] - 40
    beside = femur_mm > 15

    def outputs(crop: np.ndarray) -> np.ndarray:
        inputs = {CROP: crop, FEMUR_MM: femur_mm, PATIENT: np.zeros((1, 10), np.float32)}
        found = network(inputs, training=False)
        return np.concatenate([np.asarray(found[name])[0] for name in (LOGITS, FEATURES)])

    known = outputs(pixels)

    np.testing.assert_allclose(outputs(np.where(beside, 255, pixels)), known, atol=1e-3)
    assert np.abs(outputs(np.where(beside, pixels, 255)) - known).max() > 0.05


def test_cells_beside_the_finders_femur_have_no_weight() -> None:
    maps, logits = np.ones((1, 16, 16, 5), np.float32), np.full((1, 16, 16, 1), 30, np.float32)
    share = np.zeros((1, 16, 16, 1), np.float32)
    share[:, 4:12, 6:9] = 1

    seen = np.asarray(FemurMaskedPooling()([maps, logits, share]))

    assert seen[share[..., 0] == 0].max() == 0
    assert seen[share[..., 0] == 1].min() > 5


def test_no_maps_are_kept_where_there_is_no_femur() -> None:
    maps, share = np.ones((1, 16, 16, 5), np.float32), np.ones((1, 16, 16, 1), np.float32)

    for given in ([maps, -30 * share, share], [maps, 30 * share, 0 * share]):
        assert np.asarray(FemurMaskedPooling()(given)).max() < 1e-6
