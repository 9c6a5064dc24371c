"""Batches of hips for training, as a ``tf.data`` pipeline."""

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from training.cohort.dataset import Hips, Record
from training.fit.augment import augmentation
from training.presets import Preset
from worker.pipeline.crop import CROP_PX
from worker.pipeline.demographics import Demographics
from worker.pipeline.femur_shape import STEP_MM
from worker.pipeline.model.networks import (
    CROP,
    FEMUR,
    FEMUR_CELL_PX,
    FEMUR_MM,
    GRADES,
    LOGITS,
    PATIENT,
    T_SCORE,
)

OUTPUT_BATCH = 64


def labels(hips: Hips) -> npt.NDArray[np.intp]:
    """Return the (n,) index of each hip's grade in ``GRADES``."""
    return np.array([GRADES.index(record.grade) for record in hips.records], np.intp)


def patient_vectors(hips: Hips) -> npt.NDArray[np.float32]:
    """Return the (n, 10) demographic inputs of each hip's patient."""
    return np.array([demographics(record).vector() for record in hips.records], np.float32)


def demographics(record: Record) -> Demographics:
    """Return the demographics of a record."""
    sex = record.sex if record.sex in ("F", "M") else None
    return Demographics(sex, record.age, record.height_m, record.weight_kg)  # type: ignore[arg-type]


class Batches:
    """Shuffled and augmented batches of training hips, one epoch at a time.

    The pixels are held in memory once. Order and augmentation depend only on seed and epoch.
    ``inputs`` : names of the network's inputs. ``truths`` : names of the outputs with a label.
    """

    def __init__(
        self,
        hips: Hips,
        preset: Preset,
        seed: int,
        inputs: Collection[str],
        truths: Collection[str],
    ) -> None:
        self._preset, self._seed, self._inputs = preset, seed, frozenset(inputs)
        self._pixels = tf.constant(hips.pixels) if CROP in inputs else None
        self._femurs = tf.constant(femurs_of(hips)) if FEMUR_MM in inputs else None
        self._outlines = tf.constant(hips.outlines) if FEMUR in truths else None
        some = FEMUR in truths and bool(without_outline(hips).any())
        self._unknown = tf.constant(without_outline(hips)) if some else None
        self._patients = tf.constant(patient_vectors(hips))
        values = {LOGITS: tf.constant(labels(hips)), T_SCORE: tf.constant(hips.t_scores)}
        self._truths = {name: values[name][:, None] for name in truths if name in values}
        self._augment = augmentation(preset.augment)

    def epoch(self, number: int) -> tf.data.Dataset:
        """Return the (inputs, expected outputs) batches of one epoch, each a dict by name."""
        count, batch = len(self._patients), self._preset.fit.batch
        order = np.random.default_rng([self._seed, number]).permutation(count)
        seeds = tf.data.Dataset.random(seed=self._seed * 10_007 + number).batch(2)
        return (
            tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(order).batch(batch), seeds)
            .map(self._batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(2)
        )

    def _batch(
        self, chosen: tf.Tensor, seed: tf.Tensor
    ) -> tuple[Mapping[str, tf.Tensor], Mapping[str, tf.Tensor]]:
        seed = tf.cast(seed % 2**31, tf.int32)
        inputs = {}
        if PATIENT in self._inputs:
            patients = tf.gather(self._patients, chosen)
            inputs[PATIENT] = self._hide_some(patients, seed + tf.constant([0, 1]))
        expected = {name: tf.gather(truth, chosen) for name, truth in self._truths.items()}
        if self._pixels is not None:
            channels = [tf.cast(tf.gather(self._pixels, chosen), tf.float32)[..., tf.newaxis]]
            if self._outlines is not None:
                channels.append(unpack_outlines(tf.gather(self._outlines, chosen)))
            if self._femurs is not None:
                channels.append(to_mm(tf.gather(self._femurs, chosen)))
            images = self._augment(tf.concat(channels, axis=-1), seed)
            inputs[CROP] = images[..., :1]
            if self._outlines is not None:
                cells = femur_cells(images[..., 1:2])
                if self._unknown is not None:
                    unknown = tf.gather(self._unknown, chosen)[:, None, None, None]
                    cells = tf.where(unknown, -1.0, cells)
                expected[FEMUR] = cells
            if self._femurs is not None:
                inputs[FEMUR_MM] = images[..., -1:]
        return inputs, expected

    def _hide_some(self, patients: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Set all demographics of some patients to unknown, as at sites that send none."""
        share = self._preset.fit.patient_dropout
        dice = tf.random.stateless_uniform((tf.shape(patients)[0], 1), seed)
        return tf.where(dice < share, 0.0, patients)


def femurs_of(hips: Hips) -> npt.NDArray[np.int8]:
    """Return the distances from the femur. Raises ValueError where the data set has none."""
    if hips.femurs is None:
        raise ValueError(
            "the data set does not say where its femurs are: an older version wrote it; write "
            "it again by the command that made it"
        )
    return hips.femurs


def to_mm(femurs: tf.Tensor | npt.NDArray[np.int8]) -> tf.Tensor:
    """Return (n, 250, 250) int8 steps as (n, 250, 250, 1) float32 mm."""
    return tf.cast(femurs, tf.float32)[..., tf.newaxis] * STEP_MM


def without_outline(hips: Hips) -> npt.NDArray[np.bool_]:
    """Return which hips, (n,), have no femur outline in a data set with outlines."""
    if hips.outlines is None:
        return np.ones(len(hips.records), bool)
    return np.asarray(~hips.outlines.any(axis=(1, 2)))


def unpack_outlines(outlines: tf.Tensor) -> tf.Tensor:
    """Return (n, 250, 32) uint8 packed bits as (n, 250, 250, 1) float32."""
    bits = tf.bitwise.bitwise_and(
        tf.bitwise.right_shift(
            outlines[..., tf.newaxis], tf.constant([7, 6, 5, 4, 3, 2, 1, 0], tf.uint8)
        ),
        1,
    )
    whole = tf.reshape(bits, (-1, CROP_PX, outlines.shape[-1] * 8))
    return tf.cast(whole[..., :CROP_PX, tf.newaxis], tf.float32)


def femur_cells(outlines: tf.Tensor) -> tf.Tensor:
    """Return the (n, 16, 16, 1) share of each cell inside (n, 250, 250, 1) femur outlines.

    The last cells extend beyond the crop, as the network's cells do.
    """
    over = -CROP_PX % FEMUR_CELL_PX
    whole = tf.pad(outlines, ((0, 0), (0, over), (0, over), (0, 0)))
    return tf.nn.avg_pool2d(whole, FEMUR_CELL_PX, FEMUR_CELL_PX, "VALID")
