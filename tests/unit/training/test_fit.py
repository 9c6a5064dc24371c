"""Covered: a tiny cohort from rendering to a package that the worker loads; repeatability;
calibration. Not covered: how good a model gets (its metrics.json)."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import package, presets
from training.cohort_crops import Crops
from training.fit import calibrate, cross_entropy, fit, labels, outputs
from training.model_card import write_card
from worker import package as worker_package
from worker.model import GRADES

COMPACT = presets.load("compact")
TINY = replace(
    COMPACT,
    cohort=replace(COMPACT.cohort, patients=12, scans=1, production_series=0),
    fit=replace(COMPACT.fit, epochs=2, batch=8),
)
SEED = 5


class Quiet:
    """A progress that remembers the names of the steps."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        self.done[name] = 0

        def advance(parts: int) -> None:
            self.done[name] += parts

        yield advance

    def say(self, text: str) -> None:
        pass


def synthetic_crops(count: int, seed: int) -> Crops:
    """Pictures whose mean gray decides the grade: what a network must be able to learn."""
    rng = np.random.default_rng(seed)
    t_score = rng.choice([0.0, -1.8, -3.5], count).astype(np.float32)
    pixels = rng.normal(90 + 12 * t_score[:, None, None], 4, (count, 250, 250))
    return Crops(
        pixels=pixels.astype(np.float16),
        patient=np.arange(count, dtype=np.int32),
        scan=np.zeros(count, np.int8),
        left=np.zeros(count, bool),
        t_score=t_score,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Quiet]:
    progress = Quiet()
    out = tmp_path_factory.mktemp("run")
    model_dir = package.make_package(
        TINY, out, seed=SEED, workers=1, command="python -m training fit", progress=progress
    )
    return model_dir, progress


def test_tiny_cohort_ends_in_a_package_that_the_worker_loads(run: tuple[Path, Quiet]) -> None:
    model_dir, progress = run

    model = worker_package.load(model_dir)

    assert model.info.simulated
    assert "simulated" in model.info.training_data
    assert model.familiarity is not None
    result = model.classify(np.full((250, 250), 80, np.float32), "L")
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=3e-6)
    assert progress.done == {"render patients": 12, "fit epochs": 2, "screen series": 0}


def test_metrics_count_every_hip_and_the_card_says_the_same(run: tuple[Path, Quiet]) -> None:
    model_dir, _ = run
    metrics = json.loads((model_dir / worker_package.METRICS).read_text())

    assert sum(metrics["training"]["hips"].values()) == 24
    assert np.sum(metrics["test"]["confusion"]) == metrics["training"]["hips"]["test"]
    assert len(metrics["training"]["history"]) == 2
    assert (model_dir / worker_package.CARD).read_text() == write_card(metrics)


@pytest.mark.slow
def test_second_run_renders_nothing_and_gives_the_same_weights(
    run: tuple[Path, Quiet],
) -> None:
    model_dir, _ = run
    out = model_dir.parent
    shards = {path: path.stat().st_mtime_ns for path in (out / "crops").iterdir()}
    before = worker_package.load(model_dir).info.sha256

    package.make_package(
        TINY, out, seed=SEED, workers=1, command="python -m training fit", progress=Quiet()
    )

    assert {p: p.stat().st_mtime_ns for p in (out / "crops").iterdir()} == shards
    assert worker_package.load(model_dir).info.sha256 == before


@pytest.mark.slow
def test_network_learns_what_the_pixels_say() -> None:
    train, validation = synthetic_crops(192, 1), synthetic_crops(48, 2)
    preset = replace(COMPACT, fit=replace(COMPACT.fit, epochs=8, batch=16))

    fitted = fit(train, validation, preset, SEED)

    logits, _ = outputs(fitted.network, validation.pixels)
    assert np.mean(logits.argmax(axis=1) == labels(validation)) > 0.9


def test_labels_are_the_who_grades_of_the_hips() -> None:
    crops = replace(synthetic_crops(3, 0), t_score=np.array([-1.0, -2.4, -2.5], np.float32))

    assert [GRADES[i].value for i in labels(crops)] == ["normal", "osteopenia", "osteoporosis"]


def test_patient_has_the_grade_of_the_worse_hip() -> None:
    crops = replace(
        synthetic_crops(4, 0),
        patient=np.array([1, 1, 2, 2], np.int32),
        t_score=np.array([0.0, -3.0, -1.5, 0.5], np.float32),
    )

    assert [grade.value for grade in crops.patient_grades] == [
        "osteoporosis", "osteoporosis", "osteopenia", "osteopenia",
    ]  # fmt: skip


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


def test_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="compact"):
        presets.load("paper")
