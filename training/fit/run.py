"""``training fit``: make a run from a data set.

Steps: train → calibrate → fit the out-of-distribution score → measure on held-out patients →
save.

``RUN/model``     model package for the worker; only for a network with an image input
``RUN/run.json``  settings, history and figures
``RUN/test.npz``  predictions for every test hip

``RUN/start.json`` and ``RUN/patients.csv`` bind the run to its data (``training.fit.binding``).
"""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from training.cohort import dataset
from training.cohort.dataset import Hips
from training.cohort.folds import Fold, assign
from training.cohort.split import PARTS, SplitPart
from training.evaluate import operating_point
from training.evaluate.measures import RESAMPLES, measure_performance
from training.evaluate.operating_point import OperatingPoint
from training.fit import out_of_distribution
from training.fit.batches import labels
from training.fit.binding import bind, write_patients
from training.fit.calibration import calibrate, coverage_quantile
from training.fit.describe import (
    check_parts,
    describe_data,
    describe_fit,
    require_source,
    run_version,
)
from training.fit.schedule import Epoch
from training.fit.start import InitialModel, copy_weights, read_initial
from training.fit.train import Fitted, fit, predict
from training.fit.trained_score import fit_score, limit_basis
from training.presets import Preset
from worker.pipeline.acquisition import Envelope
from worker.pipeline.model import package
from worker.pipeline.model.classify import OutOfDistributionScore, probabilities
from worker.pipeline.model.networks import CROP, PATIENT, T_SCORE

MODEL, SUMMARY, TEST = "model", "run.json", "test.npz"


class Progress(Protocol):
    """Progress display of a long command."""

    def step(self, name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Start a step of ``total`` parts; call the returned function with each number done."""
        ...

    def print_line(self, text: str) -> None:
        """Print one line."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """Choices of ``fit`` beside the preset.

    ``initial_dir`` : package whose weights the run starts from. ``fold`` : of a
    cross-validation; the test hips are then those of the fold. ``resamples`` : bootstrap
    samples of the intervals; 0 for none.
    """

    seed: int = 1
    operating_point: OperatingPoint | None = None
    initial_dir: Path | None = None
    fold: Fold | None = None
    resamples: int = RESAMPLES


def fit_and_measure(
    data_dir: Path,
    run_dir: Path,
    preset: Preset,
    *,
    options: Options,
    command: str,
    progress: Progress,
) -> dict[str, Any]:
    """Train, or continue training, write the run and return ``run.json``.

    ``command`` : command line that is printed in the model card.

    Raises ValueError for a data set with an empty part, and where the run was started with
    other data or another configuration.
    """
    hips, source = dataset.load(data_dir), require_source(data_dir)
    if options.fold is not None:
        hips = assign(hips, options.fold)
    parts = {part: hips.part(part) for part in PARTS}
    check_parts(data_dir, parts)
    initial = _begin(data_dir, run_dir, preset, options)
    write_patients(run_dir, hips.records)
    seed = options.seed
    fitted = _fit(parts, preset, run_dir, seed, progress)
    temperatures = _temperatures(fitted, parts["validation"])
    score = fit_score(fitted, parts, preset, seed)
    training: dict[str, Any] = {
        "command": command,
        "seed": seed,
        "date": datetime.now(UTC).date().isoformat(),
        **describe_data(data_dir, parts, simulated=source.simulated),
        **describe_fit(preset, parts, fitted),
    }
    if initial is not None:
        training["initial"] = initial.to_json()
        training["data"] += f"; started from {initial.name} {initial.version}"
    if options.fold is not None:
        training["fold"] = asdict(options.fold)
    summary = {
        "model": {
            "name": preset.name,
            "version": run_version(preset, source, training["data_sha256"], initial),
            "parameters": fitted.network.count_params(),
            "temperatures": temperatures,
        },
        "training": training,
        **_test(fitted, run_dir, parts["test"], temperatures, score, options),
    }
    if options.operating_point is not None:
        summary["operating_point"] = _operating_point(
            fitted, parts, temperatures, options.operating_point
        )
    if CROP in fitted.network.input:
        quantile = _t_score_quantile(fitted, parts["validation"])
        if quantile is not None:
            summary["model"]["t_score_quantile"] = quantile
        _save_package(run_dir / MODEL, fitted, preset, summary, score)
    (run_dir / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def _begin(
    data_dir: Path, run_dir: Path, preset: Preset, options: Options
) -> InitialModel | None:
    """Bind the run to its data and configuration and copy the weights that it starts from."""
    directory = options.initial_dir
    initial = None if directory is None else read_initial(directory, preset)
    digest = None if initial is None else initial.sha256
    checksum = dataset.sha256(data_dir)
    bind(run_dir, checksum, preset, options.seed, initial=digest, fold=options.fold)
    if directory is not None:
        copy_weights(directory, run_dir)
    return initial


def _fit(
    parts: Mapping[SplitPart, Hips],
    preset: Preset,
    run_dir: Path,
    seed: int,
    progress: Progress,
) -> Fitted:
    """Train, or continue, with a line and a step of the progress for each epoch."""
    with progress.step(f"{preset.name}, epochs", preset.fit.epochs) as advance:

        def report(epoch: Epoch) -> None:
            advance(1)
            progress.print_line(_format_epoch(epoch))

        return fit(parts["train"], parts["validation"], preset, run_dir, seed, report=report)


def _temperatures(fitted: Fitted, validation: Hips) -> dict[str, float]:
    return {
        name: calibrate(
            predict(fitted.network, validation, with_patient=with_patient).logits,
            labels(validation),
        )
        for name, with_patient in variants_of(fitted).items()
    }


def _operating_point(
    fitted: Fitted,
    parts: Mapping[SplitPart, Hips],
    temperatures: Mapping[str, float],
    point: OperatingPoint,
) -> dict[str, Any]:
    """Return the limit of each variant, chosen on validation and measured on test hips."""
    found: dict[str, Any] = {"wish": f"{point.measure} {point.target:g}"}
    for name, with_patient in variants_of(fitted).items():
        limit = None
        for part in PARTS[1:]:  # validation, then test
            hips = parts[part]
            logits = predict(fitted.network, hips, with_patient=with_patient).logits
            scores = probabilities(logits, temperatures[name])[:, operating_point.POSITIVE]
            positive = labels(hips) == operating_point.POSITIVE
            if limit is None:
                limit = operating_point.choose_limit(scores, positive, point)
                found[name] = {"limit": limit}
            measured = operating_point.measure_at(limit, scores, positive, hips.patients)
            found[name][part] = measured
    return found


def _t_score_quantile(fitted: Fitted, validation: Hips) -> float | None:
    """Return the wider of the intervals of all variants, in scales of the distribution."""
    if T_SCORE not in fitted.network.output:
        return None
    found = []
    for with_patient in variants_of(fitted).values():
        outputs = predict(fitted.network, validation, with_patient=with_patient)
        if outputs.t_score is not None:
            found.append(coverage_quantile(outputs.t_score, validation.t_scores))
    return round(max(found), 4)


def variants_of(fitted: Fitted) -> dict[str, bool]:
    """Return the variants in which a network is measured, each with or without demographics."""
    inputs = fitted.network.input
    if CROP not in inputs:
        return {"demographics": True}
    if PATIENT not in inputs:
        return {"image": False}
    if _accepts_missing_demographics(fitted):
        return {"image": False, "both": True}
    return {"both": True}


def _accepts_missing_demographics(fitted: Fitted) -> bool:
    return str(fitted.network.name).startswith("osteoscreen")


def _format_epoch(epoch: Epoch) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in asdict(epoch).items())


def _test(
    fitted: Fitted,
    run_dir: Path,
    test: Hips,
    temperatures: dict[str, float],
    score: OutOfDistributionScore | None,
    options: Options,
) -> dict[str, Any]:
    """Write ``test.npz`` and return the figures of the test hips."""
    arrays: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    for name, with_patient in variants_of(fitted).items():
        outputs = predict(fitted.network, test, with_patient=with_patient)
        arrays[name] = probabilities(outputs.logits, temperatures[name])
        if outputs.t_score is not None:
            arrays[f"{name}_t_score"] = outputs.t_score
        rng = np.random.default_rng([options.seed, 3])
        measured[name] = measure_performance(
            arrays[name], labels(test), test.patients, rng, options.resamples
        )
    np.savez(run_dir / TEST, **arrays)
    result: dict[str, Any] = {"test": measured}
    if score is not None:
        distances = score.distance(outputs.features)
        familiarity = out_of_distribution.describe(score, distances)
        result["familiarity"] = familiarity | limit_basis(fitted, test, score, options.seed)
    return result


def _save_package(
    model_dir: Path,
    fitted: Fitted,
    preset: Preset,
    summary: dict[str, Any],
    score: OutOfDistributionScore | None,
) -> None:
    temperatures = summary["model"]["temperatures"]
    package.save(
        model_dir,
        fitted.network,
        package.Description(
            name=summary["model"]["name"],
            version=summary["model"]["version"],
            modality="image" if "image" in temperatures else "image and demographics",
            preset=preset.network,
            training_data=summary["training"]["data"],
            simulated=summary["training"]["simulated"],
        ),
        calibration=package.Calibration(
            temperature=temperatures.get("image", 1.0),
            patient_temperature=temperatures.get("both"),
            t_score_quantile=summary["model"].get("t_score_quantile"),
            out_of_distribution=score,
            envelope=Envelope.from_json(summary["training"]["acquisition"]),
        ),
        metrics=summary,
    )
