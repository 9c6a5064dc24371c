"""Losses of the trained outputs: grade, T-score, and cells of the femur."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from training.cohort.dataset import Hips
from training.fit.batches import labels, without_outline
from training.presets import FitSettings
from worker.pipeline.model.networks import FEMUR, GRADES, LOGITS, T_SCORE

Floats = npt.NDArray[np.float32]


def t_score_loss(expected: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    """Return the (n,) negative log likelihood under the logistic distribution.

    ``expected`` : (n, 1) T-scores. ``predicted`` : (n, 2) middle and scale.
    """
    middle, scale = predicted[:, 0], predicted[:, 1]
    z = (expected[:, 0] - middle) / scale
    return z + ops.log(scale) + 2.0 * ops.softplus(-z)


LOSSES = {
    LOGITS: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    T_SCORE: t_score_loss,
    FEMUR: keras.losses.BinaryCrossentropy(from_logits=True),
}


def loss_of(name: str, fit: FitSettings, train: Hips) -> Any:
    """Return the loss of an output for the given training hips."""
    if name == LOGITS and fit.class_weights == "balanced":
        return weighted_grade_loss(class_weights(labels(train)))
    if name == FEMUR and without_outline(train).any():
        return known_femur_loss
    return LOSSES[name]


def known_femur_loss(expected: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return the (n,) cross-entropy of the cells, 0 for hips without an outline.

    ``expected`` : (n, 16, 16, 1) shares, -1 where not known. ``logits`` : of the same shape.
    """
    known = ops.cast(expected >= 0, logits.dtype)
    each = ops.binary_crossentropy(ops.maximum(expected, 0.0), logits, from_logits=True)
    return ops.mean(each * known, axis=(1, 2, 3))


def class_weights(expected: npt.NDArray[np.intp]) -> Floats:
    """Return the (3,) weight of each grade: inverse to its hips, with a mean of 1 over hips.

    A grade without hips has the weight 0.
    """
    counts = np.bincount(expected, minlength=len(GRADES)).astype(np.float32)
    weights = np.divide(1.0, counts, out=np.zeros_like(counts), where=counts > 0)
    return np.asarray(weights * len(expected) / np.count_nonzero(counts), np.float32)


def weighted_grade_loss(weights: Floats) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the loss of (n, 1) grades and (n, 3) logits, weighted by the true grade."""

    def loss(expected: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        grades = ops.cast(expected[:, 0], "int32")
        each = ops.sparse_categorical_crossentropy(grades, logits, from_logits=True)
        return each * ops.take(ops.convert_to_tensor(weights), grades)

    return loss


def cross_entropy(
    logits: npt.NDArray[np.floating], expected: npt.NDArray[np.intp], temperature: float = 1.0
) -> float:
    """Return the mean negative log likelihood of the expected grades."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(scaled).sum(axis=1))
    return float(np.mean(log_sum - scaled[np.arange(len(expected)), expected]))
