"""Training of one network on a data set, which continues where an earlier run was killed.

All state of a run is one file, replaced atomically after every epoch: weights, best weights,
optimizer, random streams and history. The next epoch depends on nothing else.
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
from keras import layers

from training.cohort.dataset import Hips
from training.fit.batches import (
    OUTPUT_BATCH,
    Batches,
    femurs_of,
    labels,
    patient_vectors,
    to_mm,
)
from training.fit.losses import cross_entropy, loss_of
from training.fit.schedule import Epoch, best_epoch, is_finished, learning_rate
from training.presets import FitSettings, Preset
from worker.pipeline.model import weights as weights_file
from worker.pipeline.model.networks import (
    CROP,
    FEATURES,
    FEMUR,
    FEMUR_MM,
    LOGITS,
    PATIENT,
    T_SCORE,
    build,
)

Floats = npt.NDArray[np.float32]
STATE, INITIAL, LOGS = "state.npz", "initial.npz", "logs"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained float32 network with the weights of its best epoch, and its history."""

    network: keras.Model
    history: tuple[Epoch, ...]

    @property
    def best_epoch(self) -> int:
        """Number of the epoch whose weights the network has."""
        return best_epoch(self.history)


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """Outputs for n hips: (n, 3) logits, (n, k) features, (n, 2) T-score or None."""

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
    """Train until the schedule ends and return the epoch with the lowest validation loss.

    Training starts from ``run_dir/initial.npz`` if there is one, continues an interrupted run
    in ``run_dir`` and writes TensorBoard logs there.
    Several GPUs share each batch. ``report`` is called with every new epoch. The validation
    loss is the cross-entropy of the grade, with the demographics of the patient.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    history, network, model = _start(preset, run_dir, train)
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
        keras_history = model.fit(batches.epoch(number), verbose=0, shuffle=False).history
        logits = predict(network, validation).logits
        epoch = Epoch(
            number=number,
            learning_rate=rate,
            loss=float(keras_history["loss"][0]),
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
    return Fitted(_final_network(preset, best, batches), tuple(history))


def _final_network(preset: Preset, weights: Sequence[Floats], batches: Batches) -> keras.Model:
    """Return a float32 network of the given weights with recomputed batch normalization."""
    keras.mixed_precision.set_global_policy("float32")
    network = build(preset.network)
    network.set_weights(weights)
    recompute_batch_norm(network, batches.epoch(0))
    return network


def recompute_batch_norm(network: keras.Model, batches: tf.data.Dataset) -> None:
    """Set the statistics of batch normalization to the mean over all batches.

    Training leaves moving averages, in which the last few batches weigh most (Wu and
    Johnson, 2021, arXiv:2105.07576).
    """
    norms = [layer for layer in network.layers if isinstance(layer, layers.BatchNormalization)]
    moving = [norm.momentum for norm in norms]
    for done, (inputs, _) in enumerate(batches if norms else ()):
        for norm in norms:
            norm.momentum = done / (done + 1)
        network(inputs, training=True)
    for norm, momentum in zip(norms, moving, strict=True):
        norm.momentum = momentum


def _start(
    preset: Preset, run_dir: Path, train: Hips
) -> tuple[list[Epoch], keras.Model, keras.Model]:
    """Return the history so far, the network, and the compiled model of its trained outputs."""
    keras.mixed_precision.set_global_policy(preset.fit.precision)
    with strategy().scope():
        network = build(preset.network)
        if (run_dir / INITIAL).exists():
            weights_file.set_weights(network, run_dir / INITIAL)
        trained = (LOGITS, T_SCORE, *((FEMUR,) if train.outlines is not None else ()))
        heads = {name: network.output[name] for name in trained if name in network.output}
        model = keras.Model(network.input, heads)
        weights = {
            LOGITS: 1.0,
            T_SCORE: preset.fit.t_score_weight,
            FEMUR: preset.fit.femur_weight,
        }
        model.compile(
            optimizer=_optimizer(preset.fit),
            loss={name: loss_of(name, preset.fit, train) for name in heads},
            loss_weights={name: weights[name] for name in heads},
        )
        model.optimizer.build(model.trainable_variables)
    history: list[Epoch] = []
    if (run_dir / STATE).exists():
        with np.load(run_dir / STATE, allow_pickle=False) as state:
            history = [Epoch(**entry) for entry in json.loads(str(state["history"]))]
    return history, network, model


def strategy() -> tf.distribute.Strategy:
    """Return the strategy that shares each batch among all GPUs, if there are several."""
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _optimizer(fit: FitSettings) -> keras.optimizers.Optimizer:
    if fit.weight_decay:
        return keras.optimizers.AdamW(
            fit.learning_rate, weight_decay=fit.weight_decay, clipnorm=1.0
        )
    return keras.optimizers.Adam(fit.learning_rate)


def predict(network: keras.Model, hips: Hips, *, with_patient: bool = True) -> NetworkOutputs:
    """Return the outputs of a network for hips, with or without their demographics."""
    run = _forward(network)
    patients = patient_vectors(hips) * float(with_patient)
    collected: dict[str, list[Floats]] = {}
    for first in range(0, len(patients), OUTPUT_BATCH):
        part = slice(first, first + OUTPUT_BATCH)
        batch = {PATIENT: tf.constant(patients[part])}
        if CROP in network.input:
            pixels = hips.pixels[part].astype(np.float32)[..., np.newaxis]
            batch[CROP] = tf.constant(pixels)
        if FEMUR_MM in network.input:
            batch[FEMUR_MM] = to_mm(femurs_of(hips)[part])
        result = run({name: batch[name] for name in network.input})
        for name, value in result.items():
            collected.setdefault(name, []).append(value.numpy().astype(np.float32))
    joined = {name: np.concatenate(values) for name, values in collected.items()}
    return NetworkOutputs(joined[LOGITS], joined[FEATURES], joined.get(T_SCORE))


def _forward(network: keras.Model) -> Callable[[Any], Any]:
    """Return the forward pass, traced once per network for any number of hips in a batch."""
    if not hasattr(network, "traced"):
        network.traced = tf.function(
            lambda batch: network(batch, training=False), reduce_retracing=True
        )
    return network.traced  # type: ignore[no-any-return]


def _save(
    run_dir: Path, model: keras.Model, best: Sequence[Floats], history: Sequence[Epoch]
) -> None:
    """Replace the state file atomically, so that a kill leaves the old or the new state."""
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
    """Put the saved state into the model and return the best weights so far."""
    with np.load(run_dir / STATE, allow_pickle=False) as state:
        for index, variable in enumerate(_variables(model)):
            variable.assign(state[f"state{index}"])
        return [state[f"best{index}"] for index in range(weights)]


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Return all variables: weights, moving means, random streams of dropout, optimizer."""
    return [*model.variables, *model.optimizer.variables]


def _log(logs: tf.summary.SummaryWriter, epoch: Epoch) -> None:
    with logs.as_default(step=epoch.number):
        for name, value in asdict(epoch).items():
            if name != "number":
                tf.summary.scalar(name, value)
    logs.flush()
