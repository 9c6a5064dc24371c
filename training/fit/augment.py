"""Augmentation of crops by geometry, slice thickness, sharpness, noise and offset of HU.

All values are drawn from one seed inside the TensorFlow graph, so that ``tf.data`` runs the
augmentation in parallel with the training and the same seed gives the same pixels.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from training.presets import AugmentSettings
from worker.pipeline.crop import CROP_PIXEL_MM, CROP_PX, WINDOW_WIDTH_HU

GRAY_PER_HU = 255 / WINDOW_WIDTH_HU
SLABS = 48

Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Function of (n, 250, 250, c) float32 images and a (2,) int32 seed; returns changed images.

Each image changes differently. The first channel is the crop, 0–255; further channels are
outlines, 0–1, and distances from the femur, which follow the geometry of the crop and do not
change otherwise.
"""


def augmentation(preset: AugmentSettings) -> Augmentation:
    """Return the function that augments a batch of crops."""
    slabs = tf.constant(_slab_matrices(preset.slice_mm)) if preset.slice_mm else None

    def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        pixels, outlines = images[..., 0], images[..., 1:]
        count = tf.shape(pixels)[0]
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 8))
        if slabs is not None:
            # Index 0 is the identity. Half of the usual probability is used.
            share = preset.probability / 2
            chosen = tf.random.stateless_uniform((count,), seeds[0], 1, SLABS, tf.int32)
            applied = tf.random.stateless_uniform((count,), seeds[1]) < share
            matrices = tf.gather(slabs, tf.where(applied, chosen, 0))
            pixels = tf.matmul(matrices, pixels)
        moved = tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.concat([pixels[..., tf.newaxis], outlines], axis=-1),
            transforms=_transforms(count, seeds[2], preset),
            output_shape=tf.shape(pixels)[1:],
            interpolation="BILINEAR",
            fill_mode="REFLECT",
            fill_value=0.0,
        )
        batch, outlines = moved[..., :1], moved[..., 1:]
        if preset.sharpness:
            sharpness = _uniform(count, seeds[3], preset.sharpness, preset.probability)
            high = batch - tf.nn.avg_pool2d(batch, 3, 1, "SAME")
            batch += sharpness[:, None, None, None] * high
        if preset.offset_hu:
            offset = _uniform(
                count, seeds[6], preset.offset_hu * GRAY_PER_HU, preset.probability
            )
            batch += offset[:, None, None, None]
        if preset.noise_hu:
            limit = preset.noise_hu * GRAY_PER_HU
            noise = tf.abs(_uniform(count, seeds[4], limit, preset.probability))
            batch += noise[:, None, None, None] * tf.random.stateless_normal(
                tf.shape(batch), seeds[5]
            )
        return tf.concat([tf.clip_by_value(batch, 0.0, 255.0), outlines], axis=-1)

    return augment


def _uniform(count: tf.Tensor, seed: tf.Tensor, limit: float, probability: float) -> tf.Tensor:
    """Return (n,) values from −limit to limit, and 0 where the change is not applied."""
    value, dice = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    values = tf.random.stateless_uniform((count,), value, -limit, limit)
    return tf.where(tf.random.stateless_uniform((count,), dice) < probability, values, 0.0)


def _transforms(count: tf.Tensor, seed: tf.Tensor, preset: AugmentSettings) -> tf.Tensor:
    """Return (n, 8) projective transforms about the center, from output (x, y) to input."""
    p = preset.probability
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 6))
    angle = _uniform(count, seeds[0], float(np.deg2rad(preset.rotation_deg)), p)
    scale = 1 / (1 + _uniform(count, seeds[1], preset.zoom, p))
    shift_x, shift_y = (_uniform(count, seeds[i], preset.shift_px, p) for i in (2, 3))
    flip_x, flip_y = (
        tf.where(tf.random.stateless_uniform((count,), seeds[i]) < p * allowed, -1.0, 1.0)
        for i, allowed in ((4, preset.flip_columns), (5, preset.flip_rows))
    )
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    a, b, c, d = cos * flip_x, -sin * flip_y, sin * flip_x, cos * flip_y
    center = (CROP_PX - 1) / 2
    zeros = tf.zeros((count,))
    return tf.stack(
        [
            a, b, center - (a + b) * center + shift_x,
            c, d, center - (c + d) * center + shift_y,
            zeros, zeros,
        ],
        axis=1,
    )  # fmt: skip


def _slab_matrices(slice_mm: float) -> npt.NDArray[np.float32]:
    """Return (48, 250, 250) matrices, each of which reformats the rows of a crop.

    They imitate a reformat of axial slices of 1 mm to ``slice_mm``. The first is the identity.
    """
    rng = np.random.default_rng(0)
    rows = np.eye(CROP_PX)
    slabs = [
        reformatted(rows, rng.uniform(1.0, slice_mm) / CROP_PIXEL_MM, rng.uniform())
        for _ in range(SLABS - 1)
    ]
    return np.array([rows, *slabs], np.float32)


def reformatted(
    picture: npt.NDArray[np.float64], thickness: float, phase: float
) -> npt.NDArray[np.float64]:
    """Return a (h, w) picture as reformatted from axial slices ``thickness`` rows thick.

    Each slice is the mean of its rows; rows are interpolated linearly between slices.
    ``phase`` : offset of the first slice as a share of the thickness.
    """
    rows = len(picture)
    edges = np.unique(np.clip(np.arange(-phase, rows / thickness + 1) * thickness, 0, rows))
    integral = np.concatenate([np.zeros((1, picture.shape[1])), picture.cumsum(axis=0)])
    means = np.diff(_interpolate(integral, edges), axis=0) / np.diff(edges)[:, None]
    centers = (edges[1:] + edges[:-1]) / 2
    at = np.interp(np.arange(rows) + 0.5, centers, np.arange(len(centers)))
    return _interpolate(means, at)


def _interpolate(
    rows: npt.NDArray[np.float64], at: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return rows of an array at fractional indices, by linear interpolation."""
    below = np.minimum(at.astype(int), len(rows) - 2)
    return np.asarray(rows[below] + (rows[below + 1] - rows[below]) * (at - below)[:, None])
