"""Logits, features and Grad-CAM of one crop in one compiled TensorFlow function.

Grad-CAM: Selvaraju et al., ICCV 2017, Eq. 1–2: the maps of the last convolution, weighted by
the mean gradient of the top grade's score before softmax, summed, negative values set to 0.
"""

from collections.abc import Callable
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
)


@dataclass(frozen=True, slots=True)
class Explained:
    """Logits, features and heat map of one crop.

    ``logits`` : (3,) float32. ``features`` : (k,) float32. ``heat_map`` : (250, 250) float32,
    0–1, evidence for the top grade, all 0 where there is none.
    """

    logits: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    heat_map: npt.NDArray[np.float32]


class Explain(Protocol):
    """Callable that computes logits, features and heat map of one crop. Thread-safe."""

    def __call__(
        self,
        pixels: npt.NDArray[np.float32],
        patient: npt.NDArray[np.float32] | None = None,
        femur_mm: npt.NDArray[np.float32] | None = None,
    ) -> Explained:
        """Explain one crop.

        ``pixels`` : (250, 250) float32, 0–255. ``patient`` : (10,) ``Demographics.vector``.
        ``femur_mm`` : (250, 250) ``HipCrop.femur_mm``. Raises ValueError where the network
        needs it and it is not given.
        """
        ...


def compile_explain(network: keras.Model) -> Explain:
    """Trace the pass for one crop and run it once, so that the first hip is not slow."""
    # Without control flow to convert; AutoGraph would leave bytecode in the temporary folder.
    traced = tf.function(_one_pass(network), autograph=False).get_concrete_function(
        tf.TensorSpec((CROP_PX, CROP_PX), tf.float32),
        tf.TensorSpec((2 * VALUES,), tf.float32),
        tf.TensorSpec((CROP_PX, CROP_PX), tf.float32),
    )
    unknown, blank = Demographics().vector(), np.zeros((CROP_PX, CROP_PX), np.float32)

    def explain(
        pixels: npt.NDArray[np.float32],
        patient: npt.NDArray[np.float32] | None = None,
        femur_mm: npt.NDArray[np.float32] | None = None,
    ) -> Explained:
        if femur_mm is None and FEMUR_MM in network.input:
            raise ValueError(f"{network.name} needs the distances from the femur")
        logits, features, heat_map = traced(
            tf.constant(pixels, tf.float32),
            tf.constant(unknown if patient is None else patient, tf.float32),
            tf.constant(blank if femur_mm is None else femur_mm, tf.float32),
        )
        return Explained(logits.numpy(), features.numpy(), heat_map.numpy())

    explain(blank, femur_mm=blank)
    return explain


def _one_pass(
    network: keras.Model,
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]:
    """Return the forward pass with Grad-CAM.

    The gradient runs through the head of the network only: the trunk needs no backward pass.
    """
    maps_layer = network.get_layer(LAST_CONVOLUTION)
    seen = [name for name in (CROP, FEMUR_MM) if name in network.input]
    trunk = keras.Model(
        [network.input[name] for name in seen], [maps_layer.output, network.output[FEATURES]]
    )
    beside = [network.input[PATIENT]] if PATIENT in network.input else []
    head = keras.Model([maps_layer.output, *beside], network.output[LOGITS])

    def one_pass(
        pixels: tf.Tensor, patient: tf.Tensor, femur_mm: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        pictures = {CROP: pixels, FEMUR_MM: femur_mm}
        maps, features = trunk(
            [pictures[name][tf.newaxis, :, :, tf.newaxis] for name in seen], training=False
        )
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(maps)
            logits = head([maps, *([patient[tf.newaxis]] if beside else [])], training=False)[0]
            score = tf.reduce_max(logits)
        weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1, keepdims=True))
        return logits, features[0], _to_crop(heat)

    return one_pass


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
