"""Random changes of crops that leave HU alone: geometry, slice thickness, sharpness, noise.

Everything is drawn from one seed inside of the TensorFlow graph, so that ``tf.data`` runs it
beside the training and the same seed gives the same pixels.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from training.presets import Augment
from worker.pipeline.crop import CROP_PIXEL_MM, CROP_PX, WINDOW_WIDTH_HU

GRAY_PER_HU = 255 / WINDOW_WIDTH_HU
SLABS = 48

Change = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""(n, 250, 250, c) float32 and a seed (2,) int32 → the same, each crop changed in its own way.
The first channel is the crop, 0–255; further ones are outlines, 0–1, and only move with it."""


def augmentation(preset: Augment) -> Change:
    """What a preset does to a batch of crops."""
    slabs = tf.constant(_slab_matrices(preset.slice_mm)) if preset.slice_mm else None

    def change(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        pixels, outlines = images[..., 0], images[..., 1:]
        count = tf.shape(pixels)[0]
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 8))
        if slabs is not None:
            # Index 0 changes nothing: half of what may be changed is.
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
        if preset.noise_hu:
            limit = preset.noise_hu * GRAY_PER_HU
            noise = tf.abs(_uniform(count, seeds[4], limit, preset.probability))
            batch += noise[:, None, None, None] * tf.random.stateless_normal(
                tf.shape(batch), seeds[5]
            )
        return tf.concat([tf.clip_by_value(batch, 0.0, 255.0), outlines], axis=-1)

    return change


def _uniform(count: tf.Tensor, seed: tf.Tensor, limit: float, probability: float) -> tf.Tensor:
    """(n,) from −limit to limit, and 0 where the change is not applied."""
    value, dice = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    values = tf.random.stateless_uniform((count,), value, -limit, limit)
    return tf.where(tf.random.stateless_uniform((count,), dice) < probability, values, 0.0)


def _transforms(count: tf.Tensor, seed: tf.Tensor, preset: Augment) -> tf.Tensor:
    """(n, 8) projective transforms, output (x, y) → input, about the centre."""
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
    """(48, 250, 250) matrices that turn rows into those of a reformat of axial slices from
    1 mm to ``slice_mm``; the first changes nothing."""
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
    """(h, w) → the same as a reformat of axial slices ``thickness`` rows thick shows it: the
    mean over each slice, linear in between."""
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
    """Rows of an array at fractional indices, linear."""
    below = np.minimum(at.astype(int), len(rows) - 2)
    return np.asarray(rows[below] + (rows[below + 1] - rows[below]) * (at - below)[:, None])
