"""``training export``: a package as a SavedModel, for TensorFlow Serving and other programs.

Signature ``serving_default``: ``crop`` (n, 250, 250, 1) float32, 0–255, of right hips (left
ones mirrored), gives calibrated ``probabilities`` (n, 3) and, where the network predicts it,
``t_score`` (n, 2), middle and scale of a logistic distribution. ``with_demographics`` also
takes ``patient`` (n, 10) (``Demographics.vector``). A network that takes the finder's femur
needs ``femur_mm`` (n, 250, 250, 1) float32 in both, distances from the femur in mm, negative
inside (``worker.pipeline.femur_shape``). Checks of the series, femur finder, crop,
out-of-distribution limit and Grad-CAM are steps of the worker and not part of it.

``OUT/osteoscreen.json``  ``model.json`` of the package: grades, preprocessing, identity
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from worker.pipeline.crop import CROP_PX
from worker.pipeline.demographics import VALUES, Demographics
from worker.pipeline.model import package, weights
from worker.pipeline.model.classify import ImageModel, probabilities
from worker.pipeline.model.explain import Member, joint_t_score
from worker.pipeline.model.networks import CROP, FEMUR_MM, LOGITS, PATIENT, T_SCORE

HEADER = "osteoscreen.json"
TOLERANCE = 1e-5
CHECKED_CROPS = 4

Picture = npt.NDArray[np.float32]


class ExportError(ValueError):
    """The package has no SavedModel that gives its probabilities."""


class SavedNetworks(tf.Module):  # type: ignore[misc]
    """The networks of a package as functions of TensorFlow, without Keras."""

    def __init__(self, members: Sequence[Member], *, with_patient: bool) -> None:
        super().__init__()
        self.networks = [member.network for member in members]
        temperatures = [
            member.patient_temperature if with_patient else member.temperature
            for member in members
        ]
        self._temperatures = tf.constant(temperatures, tf.float32)

    def outputs(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return mean probabilities (n, 3) and the T-score (n, 2) of the members."""
        found = [
            network({name: inputs[name] for name in network.input}, training=False)
            for network in self.networks
        ]
        logits = tf.stack([each[LOGITS] for each in found])  # (member, hip, grade)
        shares = tf.nn.softmax(logits / self._temperatures[:, tf.newaxis, tf.newaxis], axis=-1)
        result = {"probabilities": tf.reduce_mean(shares, axis=0)}
        if T_SCORE in found[0]:
            result["t_score"] = joint_t_score(tf.stack([each[T_SCORE] for each in found]))
        return result


def export(model_dir: Path, out_dir: Path) -> float:
    """Write a SavedModel and return its largest difference from the package.

    Raises ModelError for an unusable package, and ExportError where the difference of a
    probability is larger than ``TOLERANCE``.
    """
    header = package.verify(model_dir)
    members = weights.read_members(model_dir / package.WEIGHTS, header)
    if "members" not in header:
        (only,) = members
        with_patient = header.get("patient_temperature")
        members = (Member(only.network, header["temperature"], with_patient or 1.0),)
    alone = SavedNetworks(members, with_patient=False)
    both = SavedNetworks(members, with_patient=True)
    pictures = (CROP, FEMUR_MM) if FEMUR_MM in members[0].network.input else (CROP,)
    signatures = {"serving_default": _signature(_without_patient(alone), pictures)}
    if header.get("patient_temperature") is not None:
        signatures["with_demographics"] = _signature(both.outputs, (*pictures, PATIENT))
    holder = tf.Module()
    holder.alone, holder.both, holder.signed = alone, both, list(signatures.values())
    tf.saved_model.save(holder, str(out_dir), signatures=signatures)
    shutil.copyfile(model_dir / package.HEADER, out_dir / HEADER)
    return check_parity(model_dir, out_dir)


def _without_patient(networks: SavedNetworks) -> Callable[[Mapping[str, tf.Tensor]], Any]:
    unknown = tf.constant(Demographics().vector(), tf.float32)

    def outputs(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        patient = tf.repeat(unknown[tf.newaxis], tf.shape(inputs[CROP])[0], axis=0)
        return networks.outputs({**inputs, PATIENT: patient})

    return outputs


def _signature(outputs: Callable[[Mapping[str, tf.Tensor]], Any], names: Sequence[str]) -> Any:
    """Return a function of tensors of these names, traced for any number of hips."""
    pictures = tf.TensorSpec((None, CROP_PX, CROP_PX, 1), tf.float32)
    patients = tf.TensorSpec((None, 2 * VALUES), tf.float32)
    specs = {name: patients if name == PATIENT else pictures for name in names}
    traced = tf.function(lambda **inputs: outputs(inputs), autograph=False)
    return traced.get_concrete_function(**specs)


def check_parity(model_dir: Path, saved_dir: Path) -> float:
    """Return the largest difference of a probability between a package and its SavedModel.

    Random crops, with random demographics and distances where the package takes them. Raises
    ExportError.
    """
    model, saved = package.load(model_dir), tf.saved_model.load(str(saved_dir))
    rng = np.random.default_rng(0)
    largest = 0.0
    for number in range(CHECKED_CROPS):
        crop = rng.uniform(0, 255, (CROP_PX, CROP_PX)).astype(np.float32)
        crop[: 60 * number] = 60 + 10 * number  # flat parts, as images have
        femur_mm = rng.uniform(-20, 40, (CROP_PX, CROP_PX)).astype(np.float32)
        pictures = crop, femur_mm
        patient = Demographics("FM"[number % 2], 50.0 + number, 1.6, 60.0 + number)  # type: ignore[arg-type]
        largest = max(largest, _difference(model, saved, pictures, Demographics()))
        if model.patient_temperature is not None:
            largest = max(largest, _difference(model, saved, pictures, patient))
    if not largest <= TOLERANCE:
        raise ExportError(
            f"{saved_dir} differs from {model_dir} by {largest:.2g}, more than {TOLERANCE:g}; "
            "do not use it, and report the versions of TensorFlow and Keras"
        )
    return largest


def _difference(
    model: ImageModel, saved: Any, pictures: tuple[Picture, Picture], patient: Demographics
) -> float:
    """``pictures`` : crop and distances from the femur, (250, 250) each."""
    informed = model.for_patient(patient)
    known = None if informed.patient is None else patient.vector()
    explained = informed.explain(pictures[0], known, pictures[1])
    expected = probabilities(explained.logits, informed.temperature)
    name = "serving_default" if known is None else "with_demographics"
    signature = saved.signatures[name]
    inputs = {
        CROP: tf.constant(pictures[0][np.newaxis, ..., np.newaxis]),
        FEMUR_MM: tf.constant(pictures[1][np.newaxis, ..., np.newaxis]),
        PATIENT: None if known is None else tf.constant(known[np.newaxis], tf.float32),
    }
    wanted = signature.structured_input_signature[1]
    found = signature(**{name: inputs[name] for name in wanted})
    return float(np.abs(found["probabilities"].numpy()[0] - expected).max())
