"""Random changes of crops that leave HU alone: geometry, slice thickness, sharpness, noise."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from training.presets import Augment
from worker.pipeline.crop import CROP_PIXEL_MM, WINDOW_WIDTH_HU

Pixels = npt.NDArray[np.float32]

GRAY_PER_HU = 255 / WINDOW_WIDTH_HU


def augment(pixels: Pixels, rng: np.random.Generator, preset: Augment) -> tf.Tensor:
    """(n, h, w) float32, 0–255 → the same, each crop changed in its own way.

    The same generator state gives the same pixels.
    """
    count, rows, columns = pixels.shape
    p = preset.probability
    reformatted = np.flatnonzero(rng.random(count) < p / 2)
    if len(reformatted):
        pixels = pixels.copy()
        for index in reformatted:
            thickness = rng.uniform(1.0, preset.slice_mm) / CROP_PIXEL_MM
            pixels[index] = _reformat(pixels[index], thickness, rng.uniform())
    return _change(
        pixels,
        _transforms(count, (rows, columns), rng, preset),
        _uniform(rng, count, preset.sharpness, p),
        np.abs(_uniform(rng, count, preset.noise_hu * GRAY_PER_HU, p)),
        rng.integers(2**31, size=2),
    )


@tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
def _change(
    pixels: tf.Tensor,
    transforms: tf.Tensor,
    sharpness: tf.Tensor,
    noise: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    batch = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels[..., tf.newaxis],
        transforms=transforms,
        output_shape=tf.shape(pixels)[1:],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
    high = batch - tf.nn.avg_pool2d(batch, 3, 1, "SAME")
    batch = (batch + sharpness[:, None, None, None] * high)[..., 0]
    batch += noise[:, None, None] * tf.random.stateless_normal(tf.shape(batch), seed)
    return tf.clip_by_value(batch, 0.0, 255.0)


def _uniform(rng: np.random.Generator, count: int, limit: float, probability: float) -> Pixels:
    """(n,) from −limit to limit, and 0 where the change is not applied."""
    values = rng.uniform(-limit, limit, count) * (rng.random(count) < probability)
    return np.asarray(values, np.float32)


def _reformat(picture: Pixels, thickness: float, phase: float) -> Pixels:
    """(h, w) → the same as a reformat of axial slices ``thickness`` rows thick shows it: the
    mean over each slice, linear in between."""
    rows = len(picture)
    edges = np.unique(np.clip(np.arange(-phase, rows / thickness + 1) * thickness, 0, rows))
    integral = np.concatenate([np.zeros((1, picture.shape[1])), picture.cumsum(axis=0)])
    means = np.diff(_interpolate(integral, edges), axis=0) / np.diff(edges)[:, None]
    centers = (edges[1:] + edges[:-1]) / 2
    at = np.interp(np.arange(rows) + 0.5, centers, np.arange(len(centers)))
    return np.asarray(_interpolate(means, at), np.float32)


def _interpolate(
    rows: npt.NDArray[np.float64], at: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Rows of an array at fractional indices, linear."""
    below = np.minimum(at.astype(int), len(rows) - 2)
    return np.asarray(rows[below] + (rows[below + 1] - rows[below]) * (at - below)[:, None])


def _transforms(
    count: int, shape: tuple[int, int], rng: np.random.Generator, preset: Augment
) -> Pixels:
    """(n, 8) projective transforms, output (x, y) → input, about the centre."""
    p = preset.probability
    angle = np.deg2rad(_uniform(rng, count, preset.rotation_deg, p))
    scale = 1 / (1 + _uniform(rng, count, preset.zoom, p))
    shift = np.stack([_uniform(rng, count, preset.shift_px, p) for _ in range(2)])
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    center_y, center_x = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    zeros = np.zeros(count)
    rows = [
        cos, -sin, center_x - cos * center_x + sin * center_y + shift[0],
        sin, cos, center_y - sin * center_x - cos * center_y + shift[1],
        zeros, zeros,
    ]  # fmt: skip
    return np.stack(rows, axis=1).astype(np.float32)
