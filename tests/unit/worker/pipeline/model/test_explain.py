"""Covered: the Grad-CAM formula against an independent computation, its position and range."""

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from worker.pipeline.model.explain import (
    Member,
    compile_ensemble,
    compile_explain,
    joint_t_score,
)
from worker.pipeline.model.networks import CROP, LAST_CONVOLUTION, LOGITS, build


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(11)
    return build("compact")


@pytest.fixture(scope="module")
def pixels() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(2)
    return rng.uniform(0, 255, (250, 250)).astype(np.float32)


def test_heat_map_follows_selvaraju_equations_1_and_2(
    network: keras.Model, pixels: npt.NDArray[np.float32]
) -> None:
    both = keras.Model(
        network.input, [network.get_layer(LAST_CONVOLUTION).output, network.output[LOGITS]]
    )
    with tf.GradientTape() as tape:
        maps, logits = both({CROP: pixels[None, :, :, None]}, training=False)
        score = logits[0, int(np.argmax(logits[0]))]
    gradient = tape.gradient(score, maps).numpy()[0]
    weights = gradient.mean(axis=(0, 1))
    cells = np.maximum((maps.numpy()[0] * weights).sum(axis=-1), 0)

    heat_map = compile_explain(network)(pixels).heat_map

    # Cells are 16 px wide; at the center of a cell its own value is nearly kept.
    centers = heat_map[7:250:16, 7:250:16]
    hottest = np.unravel_index(np.argmax(cells[:15, :15]), (15, 15))
    assert (
        np.corrcoef(centers.ravel(), cells[: len(centers), : len(centers)].ravel())[0, 1] > 0.98
    )
    assert centers[hottest] == pytest.approx(1, abs=0.1)


def test_logits_are_those_of_the_network(
    network: keras.Model, pixels: npt.NDArray[np.float32]
) -> None:
    expected = network({CROP: pixels[None, :, :, None]}, training=False)[LOGITS].numpy()[0]

    np.testing.assert_allclose(
        compile_explain(network)(pixels).logits, expected, rtol=1e-4, atol=1e-5
    )


def test_heat_map_lies_on_the_crop_in_256_steps(
    network: keras.Model, pixels: npt.NDArray[np.float32]
) -> None:
    heat_map = compile_explain(network)(pixels).heat_map

    assert heat_map.shape == (250, 250)
    assert heat_map.dtype == np.float32
    assert heat_map.min() >= 0
    assert heat_map.max() == 1
    np.testing.assert_allclose(heat_map * 255, np.round(heat_map * 255), atol=1e-4)


def test_heat_map_is_empty_without_evidence_for_the_grade(
    pixels: npt.NDArray[np.float32],
) -> None:
    network = build("compact")
    convolution = network.get_layer(LAST_CONVOLUTION)
    convolution.set_weights([np.zeros_like(weight) for weight in convolution.get_weights()])

    heat_map = compile_explain(network)(pixels).heat_map

    assert not heat_map.any()


def test_outputs_of_parallel_crops_are_means(network: keras.Model) -> None:
    explain = compile_explain(network)
    crops = np.random.default_rng(5).uniform(0, 255, (3, 250, 250)).astype(np.float32)

    found, alone = explain(crops), [explain(crop) for crop in crops]

    for name in ("logits", "features"):
        expected = np.mean([getattr(one, name) for one in alone], axis=0)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-4, atol=1e-5)
    again = explain(np.stack([crops[0]] * 4))
    np.testing.assert_allclose(again.heat_map, alone[0].heat_map, atol=1 / 255)


def test_heat_map_moves_with_what_it_shows(network: keras.Model) -> None:
    explain = compile_explain(network)
    picture = np.full((250, 250), 69, np.float32)
    upper, lower = picture.copy(), picture.copy()
    upper[40:72, 104:136] = 255
    lower[168:200, 104:136] = 255

    rows = [
        float(np.average(np.arange(250), weights=np.abs(h - np.median(h)).sum(axis=1)))
        for h in (explain(upper).heat_map, explain(lower).heat_map)
    ]

    assert rows[1] - rows[0] > 60


def test_an_ensemble_explains_the_mean_of_the_calibrated_probabilities(
    pixels: npt.NDArray[np.float32],
) -> None:
    networks = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        networks.append(build("compact"))
    temperatures = (0.5, 2.0)
    members = [Member(n, t) for n, t in zip(networks, temperatures, strict=True)]

    found = compile_ensemble(members)(pixels)

    with tf.GradientTape() as tape:
        maps, shares = [], []
        for network, temperature in zip(networks, temperatures, strict=True):
            both = keras.Model(
                network.input,
                [network.get_layer(LAST_CONVOLUTION).output, network.output[LOGITS]],
            )
            each, logits = both({CROP: pixels[None, :, :, None]}, training=False)
            maps.append(each)
            shares.append(tf.nn.softmax(logits[0] / temperature))
        mean = tf.reduce_mean(tf.stack(shares), axis=0)
        score = tf.math.log(tf.reduce_max(mean))
    np.testing.assert_allclose(np.exp(found.logits), mean, atol=1e-5)
    gradients = tape.gradient(score, maps)
    cells = sum(
        (each * tf.reduce_mean(slope, axis=(1, 2), keepdims=True)).numpy()[0].sum(axis=-1)
        for each, slope in zip(maps, gradients, strict=True)
    )
    cells = np.maximum(cells, 0)
    centers = found.heat_map[7:250:16, 7:250:16]
    size = len(centers)
    assert np.corrcoef(centers.ravel(), cells[:size, :size].ravel())[0, 1] > 0.98


def test_the_t_score_of_an_ensemble_has_the_moments_of_the_mixture() -> None:
    middle, scale = joint_t_score(tf.constant([[-1.0, 0.4], [-3.0, 0.2]])).numpy()

    draws = np.concatenate(
        [np.random.default_rng(s).logistic(m, c, 200_000) for s, m, c in
         ((1, -1.0, 0.4), (2, -3.0, 0.2))]
    )  # fmt: skip
    assert middle == pytest.approx(draws.mean(), abs=0.01)
    assert scale * np.pi / np.sqrt(3) == pytest.approx(draws.std(), rel=0.01)
