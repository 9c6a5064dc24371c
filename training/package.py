"""All of ``training fit``: from a preset to a model package with metrics and card."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from training import familiarity
from training.augment import augment
from training.cohort_crops import Crops, code_sha256, render_cohort
from training.envelope import simulated_envelope
from training.evaluate import evaluate
from training.fit import Fitted, calibrate, fit, labels, outputs
from training.model_card import write_card
from training.presets import Preset
from training.production_path import run_production_path
from training.split import split_by_patient
from worker import package
from worker.pipeline.classify import Familiarity, probabilities


class Progress(Protocol):
    """Where ``make_package`` says how far it is."""

    def step(self, name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A step of ``total`` parts begins; the callable says how many more are done."""
        ...

    def say(self, text: str) -> None:
        """One line."""
        ...


def make_package(
    preset: Preset, out_dir: Path, *, seed: int, workers: int, command: str, progress: Progress
) -> Path:
    """Render, split, fit, calibrate, measure and save; returns the package's folder.

    Crops are cached in ``out_dir/crops``; the package is ``out_dir/model``. ``command`` goes
    into the card.
    """
    with progress.step("render patients", preset.cohort.patients) as advance:
        crops, rendering_seconds = render_cohort(
            preset.cohort, seed, out_dir / "crops", workers=workers, advance=advance
        )
    parts = _split(crops, preset, seed)
    with progress.step("fit epochs", preset.fit.epochs) as advance:

        def report(epoch: dict[str, float]) -> None:
            advance(1)
            progress.say("  ".join(f"{name} {value:g}" for name, value in epoch.items()))

        fitted = fit(parts["train"], parts["validation"], preset, seed, report=report)
    logits, features = outputs(fitted.network, parts["validation"].pixels)
    temperature = calibrate(logits, labels(parts["validation"]))
    known = _familiarity(fitted, parts["train"], features, preset, seed)
    envelope = simulated_envelope(preset, seed)
    metrics = {
        "model": {
            "name": preset.name,
            "version": preset.version,
            "parameters": fitted.network.count_params(),
            "temperature": temperature,
        },
        "training": {
            "command": command,
            "seed": seed,
            "date": datetime.now(UTC).date().isoformat(),
            "data": _training_data(preset),
            "acquisition": asdict(envelope),
            "simulator_sha256": code_sha256(),
            "hips": {name: len(part.pixels) for name, part in parts.items()},
            "patients": {name: len(set(part.patient.tolist())) for name, part in parts.items()},
            "epochs": len(fitted.history),
            "best_epoch": fitted.best_epoch,
            "rendering_processor_seconds": round(rendering_seconds),
            "fitting_wall_seconds": round(fitted.seconds),
            "cores": os.cpu_count(),
            "history": list(fitted.history),
        },
        **_test(fitted, parts["test"], temperature, known, seed),
    }
    description = package.Description(
        name=preset.name,
        version=preset.version,
        modality="image",
        preset=preset.network,
        training_data=_training_data(preset),
        simulated=True,
    )
    model_dir = out_dir / "model"
    package.save(
        model_dir,
        fitted.network,
        description,
        temperature=temperature,
        familiarity=known,
        envelope=envelope,
        metrics=metrics,
        card=write_card(metrics),
    )
    series = preset.cohort.production_series
    with progress.step("screen series", series) as advance:
        complete(model_dir, series, seed=seed, workers=workers, advance=lambda: advance(1))
    return model_dir


def complete(
    model_dir: Path, series: int, *, seed: int, workers: int, advance: Callable[[], None]
) -> None:
    """Measure the worker's whole path with a saved package and write its card.

    Apart from the fit, because the path changes more often than the weights do.
    """
    path = model_dir / package.METRICS
    metrics = json.loads(path.read_text())
    metrics["production_path"] = run_production_path(
        model_dir, series, seed, workers=workers, advance=advance
    )
    path.write_text(json.dumps(metrics, indent=1) + "\n")
    (model_dir / package.CARD).write_text(write_card(metrics))


def _split(crops: Crops, preset: Preset, seed: int) -> dict[str, Crops]:
    split = split_by_patient(
        crops.patient,
        [grade.value for grade in crops.patient_grades],
        np.random.default_rng([seed, 1]),
        validation_share=preset.cohort.validation_share,
        test_share=preset.cohort.test_share,
    )
    return {
        "train": crops.take(split.train),
        "validation": crops.take(split.validation),
        "test": crops.take(split.test),
    }


def _familiarity(
    fitted: Fitted, train: Crops, validation_features: Any, preset: Preset, seed: int
) -> Familiarity:
    """The training crops as they are and once augmented: both are familiar."""
    rng = np.random.default_rng([seed, 2])
    features = [outputs(fitted.network, train.pixels)[1]]
    for first in range(0, len(train.pixels), preset.fit.batch):
        pixels = train.pixels[first : first + preset.fit.batch].astype(np.float32)
        changed = augment(pixels, rng, preset.augment).numpy()
        features.append(outputs(fitted.network, changed)[1])
    return familiarity.measure_familiarity(np.concatenate(features), validation_features)


def _test(
    fitted: Fitted, test: Crops, temperature: float, known: Familiarity, seed: int
) -> dict[str, Any]:
    logits, features = outputs(fitted.network, test.pixels)
    shares = probabilities(logits, temperature)
    distances = known.distance(features)
    return {
        "test": evaluate(shares, labels(test), test.patient, np.random.default_rng([seed, 3])),
        "familiarity": {
            "limit": known.limit,
            "directions": known.whitening.shape[1],
            "false_alarms_allowed": familiarity.FALSE_ALARMS,
            "margin": familiarity.MARGIN,
            "test_flagged": round(float(np.mean(distances > known.limit)), 4),
            "test_median": round(float(np.median(distances)), 4),
        },
    }


def _training_data(preset: Preset) -> str:
    cohort = preset.cohort
    return (
        f"simulated CT of {cohort.patients:,} simulated patients ({cohort.scans} coronal scans "
        "each, both hips); no real patient"
    )
