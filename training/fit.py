"""``training fit``: a simulated cohort in, a model package with card and metrics out.

Steps: render the crops → split by patient → train → calibrate → measure what is unfamiliar →
measure on held-out patients → write the package.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.optimize import minimize_scalar

from training.augment import augment
from training.cohort_crops import Crops
from training.presets import Preset
from worker.model import FEATURES, GRADES, LOGITS, build

Floats = npt.NDArray[np.float32]
OUTPUT_BATCH = 64


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained network with the weights of its best epoch, and how it got there."""

    network: keras.Model
    history: tuple[dict[str, float], ...]
    best_epoch: int
    seconds: float


def fit(
    train: Crops,
    validation: Crops,
    preset: Preset,
    seed: int,
    *,
    report: Callable[[dict[str, float]], None] = lambda epoch: None,
) -> Fitted:
    """Adam on cross-entropy with a cosine schedule; the epoch with the best validation loss
    wins, and ``patience`` epochs without a better one end it.

    The same seed, data and machine give the same weights. ``report`` hears of every epoch.
    """
    start = time.monotonic()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    network = build(preset.network)
    steps = preset.fit.epochs * -(-len(train.pixels) // preset.fit.batch)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(preset.fit.learning_rate, steps),
        weight_decay=preset.fit.weight_decay,
        clipnorm=1.0,
    )
    step = _train_step(network, optimizer, preset.fit.label_smoothing)
    expected = labels(validation)
    history: list[dict[str, float]] = []
    best, best_epoch, weights = np.inf, 0, network.get_weights()
    for epoch in range(1, preset.fit.epochs + 1):
        rng = np.random.default_rng([seed, epoch])
        losses = [float(step(*batch)) for batch in _batches(train, preset, rng)]
        logits, _ = outputs(network, validation.pixels)
        loss = cross_entropy(logits, expected)
        accuracy = float(np.mean(logits.argmax(axis=1) == expected))
        history.append(
            {
                "epoch": epoch,
                "loss": round(float(np.mean(losses)), 4),
                "validation_loss": round(loss, 4),
                "validation_accuracy": round(accuracy, 4),
            }
        )
        report(history[-1])
        if loss < best:
            best, best_epoch, weights = loss, epoch, network.get_weights()
        elif epoch - best_epoch >= preset.fit.patience:
            break
    network.set_weights(weights)
    return Fitted(network, tuple(history), best_epoch, time.monotonic() - start)


def labels(crops: Crops) -> npt.NDArray[np.intp]:
    """(n,) index of each hip's grade in ``GRADES``."""
    return np.array([GRADES.index(grade) for grade in crops.grades], np.intp)


def outputs(network: keras.Model, pixels: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """(n, 3) logits and (n, k) features of crops, as the worker computes them."""
    run = tf.function(lambda batch: network(batch, training=False), reduce_retracing=True)
    logits, features = [], []
    for first in range(0, len(pixels), OUTPUT_BATCH):
        batch = np.asarray(pixels[first : first + OUTPUT_BATCH], np.float32)[..., np.newaxis]
        result = run(tf.constant(batch))
        logits.append(result[LOGITS].numpy())
        features.append(result[FEATURES].numpy())
    return np.concatenate(logits), np.concatenate(features)


def cross_entropy(
    logits: npt.NDArray[np.floating], expected: npt.NDArray[np.intp], temperature: float = 1.0
) -> float:
    """Mean negative log likelihood."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(scaled).sum(axis=1))
    return float(np.mean(log_sum - scaled[np.arange(len(expected)), expected]))


def calibrate(logits: Floats, expected: npt.NDArray[np.intp]) -> float:
    """The temperature with the least cross-entropy (Guo et al., ICML 2017)."""
    found = minimize_scalar(
        lambda log_t: cross_entropy(logits, expected, float(np.exp(log_t))),
        bounds=(-2.0, 2.0),
        method="bounded",
    )
    return round(float(np.exp(found.x)), 4)


def _batches(
    crops: Crops, preset: Preset, rng: np.random.Generator
) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Augmented batches of one epoch in random order."""
    order = rng.permutation(len(crops.pixels))
    expected = labels(crops)
    for first in range(0, len(order), preset.fit.batch):
        chosen = order[first : first + preset.fit.batch]
        pixels = crops.pixels[chosen].astype(np.float32)
        yield augment(pixels, rng, preset.augment), tf.constant(expected[chosen])


def _train_step(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, smoothing: float
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    optimizer.build(network.trainable_variables)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(pixels: tf.Tensor, expected: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = network(pixels[..., tf.newaxis], training=True)[LOGITS]
            loss = loss_of(tf.one_hot(expected, len(GRADES)), logits)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    return step  # type: ignore[no-any-return]
