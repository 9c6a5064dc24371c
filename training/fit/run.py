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
from training.evaluate.measures import RESAMPLES, measure_performance
from training.evaluate.operating_point import OperatingPoint
from training.fit import out_of_distribution
from training.fit.batches import labels
from training.fit.binding import bind, write_patients
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
from training.fit.variants import (
    measure_at_limit,
    t_score_quantile,
    temperatures_of,
    variants_of,
)
from training.presets import Preset
from worker.pipeline.acquisition import Envelope
from worker.pipeline.model import package
from worker.pipeline.model.classify import OutOfDistributionScore, probabilities
from worker.pipeline.model.networks import CROP

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
    hips = _load(data_dir, options.fold)
    source = require_source(data_dir)
    parts = {part: hips.part(part) for part in PARTS}
    check_parts(data_dir, parts)
    initial = _begin(data_dir, run_dir, preset, options)
    write_patients(run_dir, hips.records)
    fitted = _fit(parts, preset, run_dir, options.seed, progress)
    temperatures = temperatures_of(fitted, parts["validation"])
    score = fit_score(fitted, parts, preset, options.seed)
    described = {
        "command": command,
        "seed": options.seed,
        "date": datetime.now(UTC).date().isoformat(),
        **describe_data(data_dir, parts, simulated=source.simulated),
        **describe_fit(preset, parts, fitted),
    }
    training = _with_start(described, initial, options.fold)
    summary = {
        "model": {
            "name": preset.name,
            "version": run_version(preset, source, training["data_sha256"], initial),
            "parameters": fitted.network.count_params(),
            "temperatures": temperatures,
        },
        "training": training,
        **_test(fitted, run_dir, parts["test"], temperatures, score, options),
        **measure_at_limit(fitted, parts, temperatures, options.operating_point),
    }
    if CROP in fitted.network.input:
        summary["model"] |= t_score_quantile(fitted, parts["validation"])
        _save_package(run_dir / MODEL, fitted, preset, summary, score)
    (run_dir / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def _load(data_dir: Path, fold: Fold | None) -> Hips:
    """Return the hips of a data set, in the parts of the fold if there is one."""
    hips = dataset.load(data_dir)
    return hips if fold is None else assign(hips, fold)


def _with_start(
    training: dict[str, Any], initial: InitialModel | None, fold: Fold | None
) -> dict[str, Any]:
    """Return ``training`` of ``run.json`` with the model it started from and the fold."""
    if initial is not None:
        data = f"{training['data']}; started from {initial.name} {initial.version}"
        training = training | {"initial": initial.to_json(), "data": data}
    return training if fold is None else training | {"fold": asdict(fold)}


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
