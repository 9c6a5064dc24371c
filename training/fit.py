"""Train one network on a data set, an epoch at a time, and go on where an earlier run was
killed.

All state of a run is one file that is replaced at once after every epoch: weights, the best
weights, optimizer, random streams and history. What comes next depends on nothing else.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers, ops

from training.dataset import Hips
from training.inputs import OUTPUT_BATCH, Batches, labels, patient_vectors
from training.presets import Fit, Preset
from training.schedule import Epoch, best_epoch, is_finished, learning_rate
from worker.model import CROP, FEATURES, FEMUR, LOGITS, PATIENT, T_SCORE, build

Floats = npt.NDArray[np.float32]
STATE, LOGS = "state.npz", "logs"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained network, float32, with the weights of its best epoch, and how it got there."""

    network: keras.Model
    history: tuple[Epoch, ...]

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights these are."""
        return best_epoch(self.history)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network says of hips: (n, 3) logits, (n, k) features, (n, 2) T-score or None."""

    logits: Floats
    features: Floats
    t_score: Floats | None


def fit(
    train: Hips,
    validation: Hips,
    preset: Preset,
    run_dir: Path,
    seed: int,
    *,
    report: Callable[[Epoch], None] = lambda epoch: None,
) -> Fitted:
    """Train until the schedule ends it; the epoch with the least validation loss wins.

    Goes on from ``run_dir`` where an earlier run was stopped; writes TensorBoard logs there.
    Several GPUs share each batch. ``report`` hears of every new epoch. The validation loss is
    the cross-entropy of the grade, with all that is known of the patient.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    history, network, model = _start(preset, run_dir, outlined=train.outlines is not None)
    batches = Batches(train, preset, seed, network.input, model.output)
    expected = labels(validation)
    best = network.get_weights()
    if history:
        best = _restore(run_dir, model, len(best))
    logs = tf.summary.create_file_writer(str(run_dir / LOGS))
    while not is_finished(history, preset.fit):
        start = time.monotonic()
        number, rate = len(history) + 1, learning_rate(history, preset.fit)
        model.optimizer.learning_rate.assign(rate)
        shown = model.fit(batches.epoch(number), verbose=0, shuffle=False)
        logits = outputs(network, validation).logits
        epoch = Epoch(
            number=number,
            learning_rate=rate,
            loss=float(shown.history["loss"][0]),
            validation_loss=cross_entropy(logits, expected),
            validation_accuracy=float(np.mean(logits.argmax(axis=1) == expected)),
            seconds=time.monotonic() - start,
        )
        history.append(epoch)
        if best_epoch(history) == number:
            best = network.get_weights()
        _save(run_dir, model, best, history)
        _log(logs, epoch)
        report(epoch)
    keras.mixed_precision.set_global_policy("float32")
    final = build(preset.network)
    final.set_weights(best)
    settle(final, batches.epoch(0))
    return Fitted(final, tuple(history))


def settle(network: keras.Model, batches: tf.data.Dataset) -> None:
    """Give batch normalization the mean and variance over all batches alike.

    Training leaves it moving averages, in which the last few batches weigh most (Wu and
    Johnson, 2021, arXiv:2105.07576).
    """
    norms = [one for one in network.layers if isinstance(one, layers.BatchNormalization)]
    moving = [norm.momentum for norm in norms]
    for done, (inputs, _) in enumerate(batches if norms else ()):
        for norm in norms:
            norm.momentum = done / (done + 1)
        network(inputs, training=True)
    for norm, momentum in zip(norms, moving, strict=True):
        norm.momentum = momentum


def _start(
    preset: Preset, run_dir: Path, *, outlined: bool
) -> tuple[list[Epoch], keras.Model, keras.Model]:
    """The history so far, the network, and a model over it of what it is taught."""
    keras.mixed_precision.set_global_policy(preset.fit.precision)
    with strategy().scope():
        network = build(preset.network)
        taught = (LOGITS, T_SCORE, *((FEMUR,) if outlined else ()))
        heads = {name: network.output[name] for name in taught if name in network.output}
        model = keras.Model(network.input, heads)
        weights = {
            LOGITS: 1.0,
            T_SCORE: preset.fit.t_score_weight,
            FEMUR: preset.fit.femur_weight,
        }
        model.compile(
            optimizer=_optimizer(preset.fit),
            loss={name: LOSSES[name] for name in heads},
            loss_weights={name: weights[name] for name in heads},
        )
        model.optimizer.build(model.trainable_variables)
    history: list[Epoch] = []
    if (run_dir / STATE).exists():
        with np.load(run_dir / STATE, allow_pickle=False) as state:
            history = [Epoch(**entry) for entry in json.loads(str(state["history"]))]
    return history, network, model


def strategy() -> tf.distribute.Strategy:
    """Every GPU that there is gets its share of each batch; one device needs no strategy."""
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _optimizer(fit: Fit) -> keras.optimizers.Optimizer:
    if fit.weight_decay:
        return keras.optimizers.AdamW(
            fit.learning_rate, weight_decay=fit.weight_decay, clipnorm=1.0
        )
    return keras.optimizers.Adam(fit.learning_rate)


def t_score_loss(expected: tf.Tensor, said: tf.Tensor) -> tf.Tensor:
    """(n, 1) T-scores, (n, 2) middle and scale → (n,) negative log likelihood under the
    logistic distribution."""
    middle, scale = said[:, 0], said[:, 1]
    z = (expected[:, 0] - middle) / scale
    return z + ops.log(scale) + 2.0 * ops.softplus(-z)


LOSSES = {
    LOGITS: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    T_SCORE: t_score_loss,
    FEMUR: keras.losses.BinaryCrossentropy(from_logits=True),
}


def outputs(network: keras.Model, hips: Hips, *, with_patient: bool = True) -> Outputs:
    """What a network says of hips, with or without what is known of their patients."""
    run = _forward(network)
    patients = patient_vectors(hips) * float(with_patient)
    found: dict[str, list[Floats]] = {}
    for first in range(0, len(patients), OUTPUT_BATCH):
        part = slice(first, first + OUTPUT_BATCH)
        batch = {PATIENT: tf.constant(patients[part])}
        if CROP in network.input:
            pixels = hips.pixels[part].astype(np.float32)[..., np.newaxis]
            batch[CROP] = tf.constant(pixels)
        result = run({name: batch[name] for name in network.input})
        for name, value in result.items():
            found.setdefault(name, []).append(value.numpy().astype(np.float32))
    joined = {name: np.concatenate(values) for name, values in found.items()}
    return Outputs(joined[LOGITS], joined[FEATURES], joined.get(T_SCORE))


def _forward(network: keras.Model) -> Callable[[Any], Any]:
    """Traced once a network, whatever number of hips is left in the last batch."""
    if not hasattr(network, "traced"):
        network.traced = tf.function(
            lambda batch: network(batch, training=False), reduce_retracing=True
        )
    return network.traced  # type: ignore[no-any-return]


def cross_entropy(
    logits: npt.NDArray[np.floating], expected: npt.NDArray[np.intp], temperature: float = 1.0
) -> float:
    """Mean negative log likelihood."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(scaled).sum(axis=1))
    return float(np.mean(log_sum - scaled[np.arange(len(expected)), expected]))


def _save(
    run_dir: Path, model: keras.Model, best: Sequence[Floats], history: Sequence[Epoch]
) -> None:
    """Replace the state at once: a kill leaves the old one or the new one."""
    arrays: dict[str, Any] = {
        "history": json.dumps([asdict(epoch) for epoch in history]),
        **{f"best{i}": array for i, array in enumerate(best)},
        **{f"state{i}": v.numpy() for i, v in enumerate(_variables(model))},
    }
    partial = run_dir / f"partial-{STATE}"
    with partial.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(run_dir / STATE)


def _restore(run_dir: Path, model: keras.Model, weights: int) -> list[Floats]:
    """Put the saved state into the model; returns the best weights so far."""
    with np.load(run_dir / STATE, allow_pickle=False) as state:
        for index, variable in enumerate(_variables(model)):
            variable.assign(state[f"state{index}"])
        return [state[f"best{index}"] for index in range(weights)]


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All that changes: weights, moving means, random streams of dropout, optimizer."""
    return [*model.variables, *model.optimizer.variables]


def _log(logs: tf.summary.SummaryWriter, epoch: Epoch) -> None:
    with logs.as_default(step=epoch.number):
        for name, value in asdict(epoch).items():
            if name != "number":
                tf.summary.scalar(name, value)
    logs.flush()
