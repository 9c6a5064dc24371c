"""Training on images that contain the answer and on permuted labels, resumption, and losses.

Not covered: the performance that a model reaches (its card).
"""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.support.hips_factory import make_hips, permute_labels, small_preset
from training import presets
from training.cohort.dataset import Hips
from training.fit.batches import (
    femur_cells,
    femurs_of,
    labels,
    patient_vectors,
    to_mm,
    unpack_outlines,
)
from training.fit.losses import (
    class_weights,
    known_femur_loss,
    t_score_loss,
    weighted_grade_loss,
)
from training.fit.train import fit, predict, recompute_batch_norm
from worker.pipeline.crop import CROP_PX
from worker.pipeline.model.networks import CROP, FEMUR, FEMUR_MM, PATIENT

OURS = presets.load("osteoscreen")


@pytest.mark.slow
def test_network_learns_what_the_pixels_show_and_nothing_from_permuted_labels(
    tmp_path: Path,
) -> None:
    # T-scores of many values: with three different images, chance would reach 1/3 or 2/3.
    rng = np.random.default_rng(4)
    train = make_hips(48, 1, t_scores=rng.uniform(-4.5, 1.0, 48).tolist())
    validation = make_hips(48, 2, t_scores=rng.uniform(-4.5, 1.0, 48).tolist())
    # Without demographics, which follow the label by construction.
    train = replace(train, records=tuple(replace(r, age=None, sex=None) for r in train.records))

    def accuracy(train: Hips, validation: Hips, name: str) -> float:
        fitted = fit(train, validation, small_preset(OURS, 8, batch=8), tmp_path / name, 5)
        logits = predict(fitted.network, validation, with_patient=False).logits
        return float(np.mean(logits.argmax(axis=1) == labels(validation)))

    assert accuracy(train, validation, "true") > 0.8
    # Validation labels are permuted too: they select the epoch, and true ones would select one
    # that is good by chance.
    permuted = (permute_labels(train), permute_labels(validation))
    assert accuracy(*permuted, "permuted") < 0.6


@pytest.mark.parametrize(
    "name", ["paper-clinical", pytest.param("osteoscreen", marks=pytest.mark.slow)]
)
def test_one_epoch_at_a_time_is_the_same_as_all_at_once(name: str, tmp_path: Path) -> None:
    train, validation = make_hips(16, 1), make_hips(8, 2)
    preset = small_preset(presets.load(name), 2, batch=8)
    once = fit(train, validation, preset, tmp_path / "once", 5)

    one = replace(preset, fit=replace(preset.fit, epochs=1, schedule="decay"))
    two = replace(preset, fit=replace(preset.fit, schedule="decay"))
    fit(train, validation, one, tmp_path / "twice", 5)
    twice = fit(train, validation, two, tmp_path / "twice", 5)

    assert len(once.history) == len(twice.history) == 2
    assert [epoch.number for epoch in twice.history] == [1, 2]
    assert twice.history[0].loss == pytest.approx(once.history[0].loss, rel=1e-3)


@pytest.mark.slow
def test_network_learns_where_the_femur_is_from_outlines(tmp_path: Path) -> None:
    hips = make_hips(48, 1)
    squares = np.zeros((48, CROP_PX, CROP_PX), bool)
    for square, (row, column) in zip(
        squares, np.random.default_rng(2).integers(0, 8, (48, 2)), strict=True
    ):
        square[16 * row : 16 * row + 112, 16 * column : 16 * column + 112] = True
    pixels = (hips.pixels + 90 * squares).astype(np.float16)
    outlined = replace(hips, pixels=pixels, outlines=np.packbits(squares, axis=-1))

    fitted = fit(outlined, outlined, small_preset(OURS, 8), tmp_path / "run", 5)

    crops = {
        CROP: pixels[..., np.newaxis].astype(np.float32),
        FEMUR_MM: to_mm(femurs_of(outlined)).numpy(),
        PATIENT: patient_vectors(hips),
    }
    logits = np.asarray(fitted.network(crops, training=False)[FEMUR])
    shares = np.asarray(femur_cells(unpack_outlines(outlined.outlines)))
    assert np.mean((logits > 0) == (shares > 0.5)) > 0.9


def test_recomputed_batch_norm_weighs_every_batch_alike() -> None:
    values = keras.Input((4,))
    network = keras.Model(values, layers.BatchNormalization(momentum=0.5)(values))
    drawn = np.random.default_rng(0).normal(3.0, 2.0, (10, 8, 4)).astype(np.float32)

    recompute_batch_norm(network, tf.data.Dataset.from_tensor_slices((drawn, drawn)))

    norm = network.layers[-1]
    np.testing.assert_allclose(norm.moving_mean, drawn.mean(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, drawn.var(axis=1).mean(axis=0), rtol=1e-4)
    assert norm.momentum == 0.5


def test_t_score_loss_is_the_logistic_likelihood() -> None:
    predicted = keras.ops.convert_to_tensor([[-0.5, 0.4]])

    # At its middle the logistic density is 1 / (4 · scale).
    assert float(t_score_loss(np.array([[-0.5]], np.float32), predicted)[0]) == pytest.approx(
        np.log(4 * 0.4), rel=1e-4
    )


def test_balanced_class_weights_give_every_grade_the_same_sum() -> None:
    expected = np.array([0, 0, 0, 0, 0, 0, 2, 2], np.intp)
    weights = class_weights(expected)

    np.testing.assert_allclose(weights, [8 / 12, 0, 2])
    # Logits of 0: each hip costs log 3 before its weight, which has a mean of 1.
    loss = weighted_grade_loss(weights)(expected[:, None], np.zeros((8, 3), np.float32))
    np.testing.assert_allclose(loss, np.log(3) * weights[expected], rtol=1e-6)
    assert np.mean(loss) == pytest.approx(np.log(3))


def test_a_rare_grade_is_learned_with_class_weights(tmp_path: Path) -> None:
    """Of a grade with 2 of 34 hips that look like others, weights raise the probability."""
    scores = [0.0] * 32 + [-3.5] * 2
    train = make_hips(34, 1, t_scores=scores)
    alike = tuple(replace(r, age=60.0, sex="F") for r in train.records)
    train = replace(train, records=alike)
    preset = small_preset(presets.load("paper-clinical"), 6, batch=34)

    def share(name: str, **changes: object) -> float:
        each = replace(preset, fit=replace(preset.fit, learning_rate=0.02, **changes))  # type: ignore[arg-type]
        logits = predict(fit(train, train, each, tmp_path / name, 5).network, train).logits[0]
        return float(np.exp(logits[2]) / np.exp(logits).sum())

    assert share("balanced", class_weights="balanced") > share("none") + 0.1


def test_hips_without_an_outline_have_no_part_in_the_loss_of_the_femur() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3, 16, 16, 1)).astype(np.float32)
    cells = rng.uniform(size=(3, 16, 16, 1)).astype(np.float32)
    all_known = np.asarray(known_femur_loss(cells, keras.ops.convert_to_tensor(logits)))
    cells[1] = -1

    loss = np.asarray(known_femur_loss(cells, keras.ops.convert_to_tensor(logits)))

    np.testing.assert_allclose(loss, all_known * [1, 0, 1], rtol=1e-6)
    whole = keras.losses.BinaryCrossentropy(from_logits=True)
    assert float(whole(cells[::2], logits[::2])) == pytest.approx(loss[::2].mean(), rel=1e-5)
