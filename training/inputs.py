"""Hips as batches of a ``tf.data`` pipeline."""

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from training.augment import augmentation
from training.dataset import Hips, Record
from training.presets import Preset
from worker.model import CROP, GRADES, PATIENT
from worker.pipeline.demographics import Demographics

OUTPUT_BATCH = 64


def labels(hips: Hips) -> npt.NDArray[np.intp]:
    """(n,) index of each hip's grade in ``GRADES``."""
    return np.array([GRADES.index(record.grade) for record in hips.records], np.intp)


def patient_vectors(hips: Hips) -> npt.NDArray[np.float32]:
    """(n, 10) what is known of each hip's patient."""
    return np.array([demographics(record).vector() for record in hips.records], np.float32)


def demographics(record: Record) -> Demographics:
    """A record's patient."""
    sex = record.sex if record.sex in ("F", "M") else None
    return Demographics(sex, record.age, record.height_m, record.weight_kg)  # type: ignore[arg-type]


class Batches:
    """Shuffled, augmented batches of training hips, an epoch at a time.

    The pixels are held once, as they were read; what is drawn depends on seed and epoch only.
    """

    def __init__(self, hips: Hips, preset: Preset, seed: int, inputs: Collection[str]) -> None:
        self._preset, self._seed, self._inputs = preset, seed, frozenset(inputs)
        self._pixels = tf.constant(hips.pixels) if CROP in inputs else None
        self._patients = tf.constant(patient_vectors(hips))
        self._labels = tf.stack(
            [tf.constant(labels(hips), tf.float32), tf.constant(hips.t_scores)], axis=1
        )
        self._change = augmentation(preset.augment)

    def epoch(self, number: int) -> tf.data.Dataset:
        """(what the network takes, (n, 2) grade index and T-score) of one epoch."""
        count, batch = len(self._labels), self._preset.fit.batch
        order = np.random.default_rng([self._seed, number]).permutation(count)
        seeds = tf.data.Dataset.random(seed=self._seed * 10_007 + number).batch(2)
        return (
            tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(order).batch(batch), seeds)
            .map(self._make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(2)
        )

    def _make(
        self, chosen: tf.Tensor, seed: tf.Tensor
    ) -> tuple[Mapping[str, tf.Tensor], tf.Tensor]:
        seed = tf.cast(seed % 2**31, tf.int32)
        inputs = {}
        if PATIENT in self._inputs:
            patients = tf.gather(self._patients, chosen)
            inputs[PATIENT] = self._hidden(patients, seed + tf.constant([0, 1]))
        if CROP in self._inputs:
            pixels = tf.cast(tf.gather(self._pixels, chosen), tf.float32)
            inputs[CROP] = self._change(pixels, seed)[..., tf.newaxis]
        return inputs, tf.gather(self._labels, chosen)

    def _hidden(self, patients: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Some patients unknown altogether: demographics are missing for whole sites."""
        share = self._preset.fit.patient_dropout
        dice = tf.random.stateless_uniform((tf.shape(patients)[0], 1), seed)
        return tf.where(dice < share, 0.0, patients)
