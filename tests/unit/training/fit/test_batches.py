"""Batches of hips: hidden demographics, each hip once, cells of the femur outline, labels."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.hips_factory import make_hips
from training import presets
from training.fit.batches import Batches, femur_cells, labels, unpack_outlines
from worker.pipeline.crop import CROP_PX
from worker.pipeline.femur_shape import STEP_MM
from worker.pipeline.grading import grade_of_t_score
from worker.pipeline.model.networks import (
    CROP,
    FEMUR,
    FEMUR_MM,
    GRADES,
    LOGITS,
    PATIENT,
    T_SCORE,
)


def test_batches_hide_the_demographics_of_some_patients_and_keep_each_hip_once() -> None:
    hips = make_hips(64, 1)
    batches = Batches(hips, presets.load("osteoscreen"), 3, {CROP, PATIENT}, {LOGITS, T_SCORE})

    seen = [
        (inputs, {name: value.numpy() for name, value in expected.items()})
        for inputs, expected in batches.epoch(1)
    ]

    patients = np.concatenate([inputs[PATIENT].numpy() for inputs, _ in seen])
    assert 0.2 < np.mean(np.all(patients == 0, axis=1)) < 0.8
    t_scores = np.concatenate([expected[T_SCORE][:, 0] for _, expected in seen])
    assert sorted(t_scores.tolist()) == sorted(hips.t_scores.tolist())
    grades = np.concatenate([expected[LOGITS][:, 0] for _, expected in seen])
    assert [GRADES[i] for i in grades] == [grade_of_t_score(t) for t in t_scores.tolist()]
    assert [inputs[CROP].shape for inputs, _ in seen] == [(32, CROP_PX, CROP_PX, 1)] * 2


def test_distances_from_the_femur_move_with_their_crops() -> None:
    hips = make_hips(32, 1)
    edge = np.clip(np.arange(250) - 120, -100, 100).astype(np.int8)
    steps = np.broadcast_to(edge, (32, 250, 250)).copy()
    shown = (69 - steps / 2).astype(np.float16)
    preset = presets.override(
        presets.load("osteoscreen"),
        ["noise_hu=0", "offset_hu=0", "sharpness=0", "slice_mm=0"],
    )
    batches = Batches(
        replace(hips, pixels=shown, femurs=steps), preset, 3, {CROP, FEMUR_MM}, {LOGITS}
    )

    inputs, _ = next(iter(batches.epoch(1)))

    moved = inputs[FEMUR_MM].numpy()
    np.testing.assert_allclose(69 - moved, inputs[CROP].numpy(), atol=0.05)
    assert np.abs(moved[..., 0] - steps * STEP_MM).max() > 1


def test_hips_without_distances_are_refused_where_the_network_needs_them() -> None:
    hips = replace(make_hips(4, 1), femurs=None)

    with pytest.raises(ValueError, match="write it again"):
        Batches(hips, presets.load("osteoscreen"), 3, {CROP, FEMUR_MM}, {LOGITS})


def test_femur_cells_are_the_shares_of_the_packed_outline() -> None:
    outline = np.zeros((1, CROP_PX, CROP_PX), bool)
    outline[:, 32:64, 16:40] = True
    outline[:, 240:, 240:] = True

    cells = femur_cells(unpack_outlines(np.packbits(outline, axis=-1)))[0, ..., 0].numpy()

    np.testing.assert_allclose(cells[1:5, :4], np.outer([0, 1, 1, 0], [0, 1, 0.5, 0]))
    assert cells[15, 15] == pytest.approx((10 / 16) ** 2)


def test_labels_are_the_who_grades_of_the_hips() -> None:
    hips = make_hips(3, 0, t_scores=(-1.0, -2.4, -2.5))

    assert [GRADES[i].value for i in labels(hips)] == ["normal", "osteopenia", "osteoporosis"]


def test_cells_of_a_hip_without_outline_are_unknown() -> None:
    masks = np.ones((4, CROP_PX, CROP_PX), bool)
    masks[2] = False
    hips = replace(make_hips(4, 0), outlines=np.packbits(masks, axis=-1))
    preset = replace(presets.load("osteoscreen"), augment=presets.load("paper-image").augment)

    ((_, expected),) = Batches(hips, preset, 1, {CROP}, {FEMUR, T_SCORE}).epoch(1)

    # The order is that of the T-scores of the same batch.
    order = np.random.default_rng([1, 1]).permutation(4)
    unknown = (expected[FEMUR].numpy() == -1).all(axis=(1, 2, 3))
    assert unknown.tolist() == (order == 2).tolist()
    assert (expected[FEMUR].numpy()[~unknown] >= 0).all()
