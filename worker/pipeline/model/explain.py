"""Logits, features and Grad-CAM of one hip in one compiled TensorFlow function.

Grad-CAM: Selvaraju et al., ICCV 2017, Eq. 1–2: the maps of the last convolution, weighted by
the mean gradient of the top grade's score before softmax, summed, negative values set to 0.
Of an ensemble, the maps are those of all members, and the score is the logarithm of the mean
probability of the top grade. Of several parallel crops, logits, features and maps are means
over the crops.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from worker.pipeline.crop import CROP_PX
from worker.pipeline.demographics import VALUES, Demographics
from worker.pipeline.model.networks import (
    CROP,
    FEATURES,
    FEMUR_MM,
    LAST_CONVOLUTION,
    LOGITS,
    PATIENT,
    T_SCORE,
)


@dataclass(frozen=True, slots=True)
class Explained:
    """Logits, features and heat map of one hip.

    ``logits`` : (3,) float32. ``image_logits`` : (3,), without demographics.
    ``features`` : (k,) float32. ``heat_map`` : (250, 250) float32, 0–1, evidence for the top
    grade, all 0 where there is none. ``t_score`` : (2,) float32, middle and scale of the
    logistic distribution of the T-score; None for a network without.
    """

    logits: npt.NDArray[np.float32]
    image_logits: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    heat_map: npt.NDArray[np.float32]
    t_score: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One network of an ensemble and its temperatures, without and with demographics."""

    network: keras.Model
    temperature: float = 1.0
    patient_temperature: float = 1.0


class Explain(Protocol):
    """Callable that computes logits, features and heat map of one hip. Thread-safe."""

    def __call__(
        self,
        pixels: npt.NDArray[np.float32],
        patient: npt.NDArray[np.float32] | None = None,
        femur_mm: npt.NDArray[np.float32] | None = None,
    ) -> Explained:
        """Explain one crop, or parallel crops of one hip together.

        ``pixels`` : (250, 250) or (n, 250, 250) float32, 0–255. ``patient`` : (10,)
        ``Demographics.vector``. ``femur_mm`` : distances from the femur of the same shape, mm.
        Raises ValueError where the network needs them and they are not given.
        """
        ...


def compile_explain(network: keras.Model) -> Explain:
    """Trace the pass of one network for one hip (``compile_ensemble``)."""
    return compile_ensemble((Member(network),))


def compile_ensemble(members: Sequence[Member]) -> Explain:
    """Trace the pass for one hip and run it once, so that the first hip is not slow.

    The logits of several members are the logarithms of their mean calibrated probabilities.
    """
    # Without control flow to convert; AutoGraph would leave bytecode in the temporary folder.
    traced = tf.function(
        _one_pass([member.network for member in members]), autograph=False
    ).get_concrete_function(
        tf.TensorSpec((None, CROP_PX, CROP_PX), tf.float32),
        tf.TensorSpec((2 * VALUES,), tf.float32),
        tf.TensorSpec((None, CROP_PX, CROP_PX), tf.float32),
        tf.TensorSpec((2, len(members)), tf.float32),
    )
    unknown, blank = Demographics().vector(), np.zeros((CROP_PX, CROP_PX), np.float32)
    alone = [member.temperature for member in members]
    with_patient = [member.patient_temperature for member in members]
    needs_femur = any(FEMUR_MM in member.network.input for member in members)

    def explain(
        pixels: npt.NDArray[np.float32],
        patient: npt.NDArray[np.float32] | None = None,
        femur_mm: npt.NDArray[np.float32] | None = None,
    ) -> Explained:
        if femur_mm is None and needs_femur:
            raise ValueError("the model needs the distances from the femur")
        crops = np.reshape(pixels, (-1, CROP_PX, CROP_PX))
        distances = np.zeros_like(crops) if femur_mm is None else femur_mm
        found = traced(
            tf.constant(crops, tf.float32),
            tf.constant(unknown if patient is None else patient, tf.float32),
            tf.constant(np.reshape(distances, crops.shape), tf.float32),
            tf.constant([alone, alone if patient is None else with_patient], tf.float32),
        )
        return Explained(*(value.numpy() for value in found))

    explain(blank, femur_mm=blank)
    return explain


def _one_pass(networks: Sequence[keras.Model]) -> Callable[..., tuple[tf.Tensor, ...]]:
    """Return the forward pass with Grad-CAM.

    The gradient runs through the heads of the networks only: a trunk needs no backward pass.
    """
    trunks, heads = zip(*map(_trunk_and_head, networks), strict=True)
    with_patient = PATIENT in networks[0].input
    unknown = tf.constant(Demographics().vector(), tf.float32)

    def one_pass(
        pixels: tf.Tensor, patient: tf.Tensor, femur_mm: tf.Tensor, temperatures: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        pictures = {
            CROP: pixels[..., tf.newaxis],
            FEMUR_MM: femur_mm[..., tf.newaxis],
        }
        passes = [
            trunk({name: pictures[name] for name in trunk.input}, training=False)
            for trunk in trunks
        ]
        maps = [each for each, _ in passes]

        def outputs_with(values: tf.Tensor) -> list[dict[str, tf.Tensor]]:
            each = tf.repeat(values[tf.newaxis], tf.shape(pixels)[0], axis=0)
            beside = [each] if with_patient else []
            return [
                head([seen, *beside], training=False)
                for head, seen in zip(heads, maps, strict=True)
            ]

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(maps)
            outputs = outputs_with(patient)
            logits = _joint_logits(outputs, temperatures[1])
            score = tf.reduce_max(logits)
        image_logits = _joint_logits(outputs_with(unknown), temperatures[0])
        heat = tf.zeros(())
        for each, slope in zip(maps, tape.gradient(score, maps), strict=True):
            weights = tf.reduce_mean(slope, axis=(1, 2), keepdims=True)
            heat += _mean(tf.reduce_sum(weights * each, axis=-1, keepdims=True))[tf.newaxis]
        features = tf.concat([_mean(each) for _, each in passes], axis=0)
        t_scores = [_mean(each[T_SCORE]) for each in outputs if T_SCORE in each]
        joint = [joint_t_score(tf.stack(t_scores))] if t_scores else []
        return logits, image_logits, features, _to_crop(tf.nn.relu(heat)), *joint

    return one_pass


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Return the mean over the crops of a hip, the first axis."""
    return tf.reduce_mean(values, axis=0)


def _trunk_and_head(network: keras.Model) -> tuple[keras.Model, keras.Model]:
    maps_layer = network.get_layer(LAST_CONVOLUTION)
    seen = [name for name in (CROP, FEMUR_MM) if name in network.input]
    trunk = keras.Model(
        {name: network.input[name] for name in seen},
        [maps_layer.output, network.output[FEATURES]],
    )
    beside = [network.input[PATIENT]] if PATIENT in network.input else []
    outputs = {
        name: network.output[name] for name in (LOGITS, T_SCORE) if name in network.output
    }
    return trunk, keras.Model([maps_layer.output, *beside], outputs)


def _joint_logits(
    outputs: Sequence[dict[str, tf.Tensor]], temperatures: tf.Tensor
) -> tf.Tensor:
    """Return the mean logits of one network, or the logits of an ensemble, (3,)."""
    logits = [_mean(each[LOGITS]) for each in outputs]
    if len(logits) == 1:
        return logits[0]
    shares = tf.nn.softmax(tf.stack(logits) / temperatures[:, tf.newaxis], axis=-1)
    return tf.math.log(tf.reduce_mean(shares, axis=0) + 1e-9)


def joint_t_score(t_scores: tf.Tensor) -> tf.Tensor:
    """Return middle and scale (…, 2) with mean and variance of the mixture of (member, …, 2).

    The variance of a logistic distribution is (π · scale)² / 3.
    """
    if t_scores.shape[0] == 1:
        return t_scores[0]
    middles, scales = t_scores[..., 0], t_scores[..., 1]
    inside = tf.reduce_mean(scales**2, axis=0)
    between = 3.0 * tf.math.reduce_variance(middles, axis=0) / math.pi**2
    return tf.stack([tf.reduce_mean(middles, axis=0), tf.sqrt(inside + between)], axis=-1)


def _to_crop(heat: tf.Tensor) -> tf.Tensor:
    """Resize (1, h, w, 1) to (250, 250), 0–1, bilinear, in 256 steps.

    A cell covers stride × stride pixels, and the last one overhangs the crop. The steps are
    those of an 8-bit picture; stored values do not differ by floating-point error.
    """
    stride = -(-CROP_PX // heat.shape[1])
    overhanging = (heat.shape[1] * stride, heat.shape[2] * stride)
    full = tf.image.resize(heat, overhanging)[0, :CROP_PX, :CROP_PX, 0]
    top = tf.reduce_max(full)
    return tf.round(tf.math.divide_no_nan(full, top) * 255) / 255
