"""Presets: agreement with the paper, and equal budgets for all presets."""

import pytest

from training import presets
from worker.pipeline.model.networks import build

PAPER = ("paper-image", "paper-clinical", "paper-multimodal")


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_training_is_as_written(name: str) -> None:
    """Source: Ha 2024, Methods."""
    fit, augment = presets.load(name).fit, presets.load(name).augment

    assert (fit.learning_rate, fit.decay, fit.batch) == (1e-3, 0.96, 32)
    assert (fit.epochs, fit.plateau, fit.plateau_factor, fit.early_stop) == (500, 30, 0.7, 50)
    assert (augment.rotation_deg, augment.zoom, augment.shift_px) == (10, 0.10, 10)
    assert augment.flip_rows
    assert augment.flip_columns
    assert augment.probability == 0.5
    assert augment.noise_hu == augment.offset_hu == augment.sharpness == augment.slice_mm == 0


def test_the_papers_image_network_is_as_written() -> None:
    """Ha 2024: six 3 × 3 convolutions (16 to 512) with max-pooling, dense 4096, 1024, 128."""
    layers = build("paper-image").layers
    kinds = [type(layer).__name__ for layer in layers]

    convolutions = [layer for layer in layers if type(layer).__name__ == "Conv2D"]
    assert [layer.filters for layer in convolutions] == [16, 32, 64, 128, 256, 512]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert kinds.count("MaxPooling2D") == kinds.count("BatchNormalization") == 6
    dense = [layer.units for layer in layers if type(layer).__name__ == "Dense"]
    assert dense == [4096, 1024, 128, 3]
    assert {layer.rate for layer in layers if type(layer).__name__ == "Dropout"} == {0.2}


def test_ours_has_a_tenth_of_the_papers_parameters_at_most() -> None:
    ours = build(presets.load("osteoscreen").network).count_params()

    assert ours < 2_000_000
    assert ours <= build("paper-image").count_params() / 10


def test_a_budget_scales_all_presets_alike() -> None:
    budgets = {
        (fit.epochs, fit.plateau, fit.early_stop)
        for name in (*PAPER, "osteoscreen")
        for fit in (presets.load(name).within(20).fit,)
    }

    assert budgets == {(20, 6, 10)}


def test_without_a_budget_a_preset_is_unchanged() -> None:
    assert presets.load("paper-image").within(0) == presets.load("paper-image")


def test_unknown_preset_is_refused_with_a_list_of_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown preset 'paper'; .*osteoscreen"):
        presets.load("paper")


def test_values_of_a_preset_are_set_by_key() -> None:
    changed = presets.override(
        presets.load("osteoscreen"),
        ["learning_rate=1e-4", "batch=8", "zoom=0", "flip_rows=true"],
    )

    assert (changed.fit.learning_rate, changed.fit.batch) == (1e-4, 8)
    assert (changed.augment.zoom, changed.augment.flip_rows) == (0.0, True)
    assert changed.fit.epochs == 500


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("rate=1", "expected KEY=VALUE with one of batch, epochs"),
        ("batch", "expected KEY=VALUE"),
        ("batch=1.5", "expected a whole number, as 32"),
        ("learning_rate=fast", "expected a number, as 0.001"),
        ("learning_rate=-1", "not negative"),
        ("flip_rows=yes", "expected true or false"),
        ("schedule=linear", "expected one of decay, cosine"),
    ],
)
def test_a_wrong_setting_is_refused(change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        presets.override(presets.load("osteoscreen"), [change])
