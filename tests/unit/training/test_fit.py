"""Covered: fits on pictures that carry the answer and on permuted labels; a fit that is killed
and started again; what the losses are. Not covered: how good a model gets (its card)."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.hips_factory import make_hips, write_hips
from training import presets
from training.calibration import calibrate
from training.dataset import Hips
from training.fit import STATE, cross_entropy, fit, outputs, settle, t_score_loss
from training.inputs import Batches, femur_cells, labels, patient_vectors, unpacked
from training.presets import Preset
from worker.model import CROP, FEMUR, GRADES, LOGITS, PATIENT, T_SCORE
from worker.pipeline.crop import CROP_PX
from worker.pipeline.grade import grade_of_t_score

OURS = presets.load("osteoscreen")


def small(preset: Preset, epochs: int, batch: int = 16) -> Preset:
    within = preset.within(epochs)
    return replace(within, fit=replace(within.fit, batch=batch, early_stop=epochs))


@pytest.mark.slow
def test_network_learns_what_the_pixels_say_and_chance_from_permuted_labels(
    tmp_path: Path,
) -> None:
    # T-scores of every value: of three pictures alone, a third or two would be right by luck.
    rng = np.random.default_rng(4)
    train = make_hips(96, 1, t_scores=rng.uniform(-4.5, 1.0, 96).tolist())
    validation = make_hips(48, 2, t_scores=rng.uniform(-4.5, 1.0, 48).tolist())
    # Without demographics: these follow the label by construction.
    train = replace(train, records=tuple(replace(r, age=None, sex=None) for r in train.records))

    def accuracy(train: Hips, validation: Hips, name: str) -> float:
        fitted = fit(train, validation, small(OURS, 15), tmp_path / name, 5)
        said = outputs(fitted.network, validation, with_patient=False).logits
        return float(np.mean(said.argmax(axis=1) == labels(validation)))

    assert accuracy(train, validation, "true") > 0.8
    # Both: the validation hips choose the epoch, and true ones would choose a lucky trend.
    assert accuracy(permuted(train), permuted(validation), "permuted") < 0.6


def permuted(hips: Hips) -> Hips:
    """The pictures with each other's T-scores."""
    shuffled = np.random.default_rng(3).permutation(hips.t_scores).tolist()
    records = (replace(r, t_score=t) for r, t in zip(hips.records, shuffled, strict=True))
    return replace(hips, records=tuple(records))


KILLED = """
import sys
from pathlib import Path
from training import presets, run, progress
from dataclasses import replace
preset = presets.load("paper-clinical").within(8)
preset = replace(preset, fit=replace(preset.fit, early_stop=8))
class Quiet(progress.Bars):
    def say(self, text):
        print(text, flush=True)
with Quiet() as bars:
    run.run(Path(sys.argv[1]), Path(sys.argv[2]), preset, seed=1, command="", progress=bars)
"""


@pytest.mark.slow
def test_killed_fit_goes_on_and_ends_at_the_same_epoch(tmp_path: Path) -> None:
    write_hips(tmp_path / "data", make_hips_in(tmp_path / "data"))
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(tmp_path / "run")]
    first = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (tmp_path / "run" / STATE).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with np.load(tmp_path / "run" / STATE) as state:
        done = len(json.loads(str(state["history"])))

    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)

    summary = json.loads((tmp_path / "run" / "run.json").read_text())
    assert 1 <= done <= 8
    assert [epoch["number"] for epoch in summary["training"]["history"]] == list(range(1, 9))
    assert summary["training"]["epochs"] == 8


def make_hips_in(folder: Path):  # type: ignore[no-untyped-def]
    folder.mkdir()
    return make_hips(60, 4)


@pytest.mark.parametrize(
    "name", ["paper-clinical", pytest.param("osteoscreen", marks=pytest.mark.slow)]
)
def test_one_epoch_at_a_time_is_the_same_as_all_at_once(name: str, tmp_path: Path) -> None:
    """What a resumed fit starts from is all that there is."""
    train, validation = make_hips(16, 1), make_hips(8, 2)
    preset = small(presets.load(name), 2, batch=8)
    once = fit(train, validation, preset, tmp_path / "once", 5)

    one = replace(preset, fit=replace(preset.fit, epochs=1, schedule="decay"))
    two = replace(preset, fit=replace(preset.fit, schedule="decay"))
    fit(train, validation, one, tmp_path / "twice", 5)
    twice = fit(train, validation, two, tmp_path / "twice", 5)

    assert len(once.history) == len(twice.history) == 2
    assert [epoch.number for epoch in twice.history] == [1, 2]
    assert twice.history[0].loss == pytest.approx(once.history[0].loss, rel=1e-3)


def test_batches_hide_the_patients_of_some_and_keep_each_hip_once() -> None:
    hips = make_hips(64, 1)
    batches = Batches(hips, OURS, 3, {CROP, PATIENT}, {LOGITS, T_SCORE})

    seen = [
        (inputs, {name: said.numpy() for name, said in expected.items()})
        for inputs, expected in batches.epoch(1)
    ]

    patients = np.concatenate([inputs[PATIENT].numpy() for inputs, _ in seen])
    assert 0.2 < np.mean(np.all(patients == 0, axis=1)) < 0.8
    t_scores = np.concatenate([expected[T_SCORE][:, 0] for _, expected in seen])
    assert sorted(t_scores.tolist()) == sorted(hips.t_scores.tolist())
    said = np.concatenate([expected[LOGITS][:, 0] for _, expected in seen])
    assert [GRADES[i] for i in said] == [grade_of_t_score(t) for t in t_scores.tolist()]
    assert seen[0][0][CROP].shape == (32, CROP_PX, CROP_PX, 1)


def test_femur_is_taught_by_cells_of_the_outline_as_packed_on_disk() -> None:
    outline = np.zeros((1, CROP_PX, CROP_PX), bool)
    outline[:, 32:64, 16:40] = True
    outline[:, 240:, 240:] = True

    cells = femur_cells(unpacked(np.packbits(outline, axis=-1)))[0, ..., 0].numpy()

    np.testing.assert_allclose(cells[1:5, :4], np.outer([0, 1, 1, 0], [0, 1, 0.5, 0]))
    assert cells[15, 15] == pytest.approx((10 / 16) ** 2)


@pytest.mark.slow
def test_network_learns_where_the_femur_is_from_outlines(tmp_path: Path) -> None:
    hips = make_hips(48, 1)
    squares = np.zeros((48, CROP_PX, CROP_PX), bool)
    for square, (row, column) in zip(
        squares, np.random.default_rng(2).integers(0, 8, (48, 2)), strict=True
    ):
        square[16 * row : 16 * row + 112, 16 * column : 16 * column + 112] = True
    pixels = (hips.pixels + 90 * squares).astype(np.float16)
    outlined = replace(hips, pixels=pixels, outlines=np.packbits(squares, axis=-1))
    preset = small(OURS, 8)

    fitted = fit(outlined, outlined, preset, tmp_path / "run", 5)

    crops = {CROP: pixels[..., np.newaxis].astype(np.float32), PATIENT: patient_vectors(hips)}
    said = np.asarray(fitted.network(crops, training=False)[FEMUR])
    true = np.asarray(femur_cells(unpacked(outlined.outlines)))
    assert np.mean((said > 0) == (true > 0.5)) > 0.9


def test_settled_normalization_weighs_every_batch_alike() -> None:
    values = keras.Input((4,))
    network = keras.Model(values, layers.BatchNormalization(momentum=0.5)(values))
    drawn = np.random.default_rng(0).normal(3.0, 2.0, (10, 8, 4)).astype(np.float32)

    settle(network, tf.data.Dataset.from_tensor_slices((drawn, drawn)))

    norm = network.layers[-1]
    np.testing.assert_allclose(norm.moving_mean, drawn.mean(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, drawn.var(axis=1).mean(axis=0), rtol=1e-4)
    assert norm.momentum == 0.5


def test_t_score_loss_is_the_logistic_likelihood() -> None:
    said = keras.ops.convert_to_tensor([[-0.5, 0.4]])

    # At its middle the logistic density is 1 / (4 · scale).
    assert float(t_score_loss(np.array([[-0.5]], np.float32), said)[0]) == pytest.approx(
        np.log(4 * 0.4), rel=1e-4
    )


def test_labels_are_the_who_grades_of_the_hips() -> None:
    hips = make_hips(3, 0, t_scores=(-1.0, -2.4, -2.5))

    assert [GRADES[i].value for i in labels(hips)] == ["normal", "osteopenia", "osteoporosis"]


def test_calibration_finds_the_temperature_of_overconfident_logits() -> None:
    rng = np.random.default_rng(0)
    true_logits = rng.normal(0, 1.5, (4000, 3))
    shares = np.exp(true_logits) / np.exp(true_logits).sum(axis=1, keepdims=True)
    expected = np.array([rng.choice(3, p=share) for share in shares])

    temperature = calibrate((true_logits * 2.5).astype(np.float32), expected)

    assert temperature == pytest.approx(2.5, rel=0.1)
    assert cross_entropy(true_logits * 2.5, expected, temperature) < cross_entropy(
        true_logits * 2.5, expected
    )
