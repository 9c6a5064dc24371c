"""``training fit``: make a run from a data set.

Steps: train → calibrate → fit the out-of-distribution score → measure on held-out patients →
save.

``RUN/model``     model package for the worker; only for a network with an image input
``RUN/run.json``  settings, history and figures
``RUN/test.npz``  predictions for every test hip

``RUN/start.json`` and ``RUN/patients.csv`` bind the run to its data (``training.fit.binding``).
"""

import json
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from training.cohort import dataset
from training.cohort.dataset import Hips
from training.cohort.source import Source, read_source
from training.cohort.split import PARTS, SplitPart
from training.evaluate.measures import measure_performance
from training.fit import out_of_distribution
from training.fit.batches import Batches, labels
from training.fit.binding import bind, write_patients
from training.fit.calibration import calibrate
from training.fit.envelope import measure_envelope
from training.fit.schedule import Epoch
from training.fit.train import Fitted, fit, predict
from training.presets import Preset
from worker.pipeline.acquisition import Envelope
from worker.pipeline.model import package
from worker.pipeline.model.classify import OutOfDistributionScore, probabilities
from worker.pipeline.model.networks import CROP, FEATURES, PATIENT

MODEL, SUMMARY, TEST = "model", "run.json", "test.npz"


class Progress(Protocol):
    """Progress display of a long command."""

    def step(self, name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Start a step of ``total`` parts; call the returned function with each number done."""
        ...

    def print_line(self, text: str) -> None:
        """Print one line."""
        ...


def fit_and_measure(
    data_dir: Path,
    run_dir: Path,
    preset: Preset,
    *,
    seed: int,
    command: str,
    progress: Progress,
) -> dict[str, Any]:
    """Train, or continue training, write the run and return ``run.json``.

    ``command`` : command line that is printed in the model card.

    Raises ValueError for a data set with an empty part, and where the run was started with
    other data or another configuration.
    """
    hips = dataset.load(data_dir)
    source = read_source(data_dir)
    if source is None:
        raise ValueError(
            f"{data_dir} has no source.json: an older version wrote it; write it again by "
            "the command that made it"
        )
    parts = {part: hips.part(part) for part in PARTS}
    check_parts(data_dir, parts)
    bind(run_dir, dataset.sha256(data_dir), preset, seed)
    write_patients(run_dir, hips.records)
    with progress.step(f"{preset.name}, epochs", preset.fit.epochs) as advance:

        def report(epoch: Epoch) -> None:
            advance(1)
            progress.print_line(_format_epoch(epoch))

        fitted = fit(parts["train"], parts["validation"], preset, run_dir, seed, report=report)
    variants = variants_of(fitted)
    temperatures = {
        name: calibrate(
            predict(fitted.network, parts["validation"], with_patient=with_patient).logits,
            labels(parts["validation"]),
        )
        for name, with_patient in variants.items()
    }
    score = _out_of_distribution_score(fitted, parts, preset, seed)
    summary = {
        "model": {
            "name": preset.name,
            "version": run_version(preset, source, dataset.sha256(data_dir)),
            "parameters": fitted.network.count_params(),
            "temperatures": temperatures,
        },
        "training": _training(
            data_dir, preset, parts, fitted, seed, command, simulated=source.simulated
        ),
        **_test(fitted, run_dir, parts["test"], temperatures, score, seed),
    }
    if CROP in fitted.network.input:
        _save_package(run_dir / MODEL, fitted, preset, summary, score)
    (run_dir / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
    return summary


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
    return str(fitted.network.name) == "osteoscreen"


def _format_epoch(epoch: Epoch) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in asdict(epoch).items())


def _out_of_distribution_score(
    fitted: Fitted, parts: Mapping[SplitPart, Hips], preset: Preset, seed: int
) -> OutOfDistributionScore | None:
    """Return the score fitted to the training crops, both unchanged and augmented."""
    if CROP not in fitted.network.input:
        return None
    features = [predict(fitted.network, parts["train"]).features]
    for inputs, _ in Batches(parts["train"], preset, seed, fitted.network.input, ()).epoch(0):
        features.append(fitted.network(inputs, training=False)[FEATURES].numpy())
    return out_of_distribution.fit_out_of_distribution_score(
        np.concatenate(features), predict(fitted.network, parts["validation"]).features
    )


def _training(
    data_dir: Path,
    preset: Preset,
    parts: Mapping[SplitPart, Hips],
    fitted: Fitted,
    seed: int,
    command: str,
    *,
    simulated: bool,
) -> dict[str, Any]:
    train = parts["train"].records
    return {
        "command": command,
        "seed": seed,
        "date": datetime.now(UTC).date().isoformat(),
        "data": training_data(parts, simulated=simulated),
        "simulated": simulated,
        "data_sha256": dataset.sha256(data_dir),
        "acquisition": asdict(measure_envelope(train, preset.augment)),
        "preset": asdict(preset),
        "hips": {name: len(part.records) for name, part in parts.items()},
        "patients": {
            name: len({record.patient for record in part.records})
            for name, part in parts.items()
        },
        "epochs": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        "fitting_wall_seconds": round(sum(epoch.seconds for epoch in fitted.history)),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "history": [asdict(epoch) for epoch in fitted.history],
    }


def check_parts(data_dir: Path, parts: Mapping[SplitPart, Hips]) -> None:
    """Raise ValueError where a part has no hip."""
    for name, hips in parts.items():
        if not hips.records:
            counts = ", ".join(f"{part} {len(each.records)}" for part, each in parts.items())
            raise ValueError(
                f"the part {name} of {data_dir} has no hip ({counts}); prepare more series, or "
                "edit the column part of hips.csv, the same for all hips of a patient"
            )


def run_version(preset: Preset, source: Source, data_sha256: str) -> str:
    """Return the version of a run's model, until ``package`` gives it one.

    A model of other data is not the preset's: it has the checksum of its data.
    """
    return preset.version if source.simulated else f"{preset.version}+data.{data_sha256[:8]}"


def training_data(parts: Mapping[SplitPart, Hips], *, simulated: bool) -> str:
    """Return the description of the data that SR and model card print."""
    records = [record for part in parts.values() for record in part.records]
    scans, patients = len({r.scan for r in records}), len({r.patient for r in records})
    if simulated:
        return (
            f"simulated CT: {scans:,} scans of {patients:,} simulated patients; no real patient"
        )
    return f"CT with DXA: {scans:,} scans of {patients:,} patients"


def _test(
    fitted: Fitted,
    run_dir: Path,
    test: Hips,
    temperatures: dict[str, float],
    score: OutOfDistributionScore | None,
    seed: int,
) -> dict[str, Any]:
    """Write ``test.npz`` and return the figures of the test hips."""
    arrays: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    for name, with_patient in variants_of(fitted).items():
        outputs = predict(fitted.network, test, with_patient=with_patient)
        arrays[name] = probabilities(outputs.logits, temperatures[name])
        if outputs.t_score is not None:
            arrays[f"{name}_t_score"] = outputs.t_score
        rng = np.random.default_rng([seed, 3])
        measured[name] = measure_performance(arrays[name], labels(test), test.patients, rng)
    np.savez(run_dir / TEST, **arrays)
    result: dict[str, Any] = {"test": measured}
    if score is not None:
        distances = score.distance(outputs.features)
        result["familiarity"] = {
            "limit": score.limit,
            "directions": score.whitening.shape[1],
            "false_alarms_allowed": out_of_distribution.FALSE_ALARMS,
            "margin": out_of_distribution.MARGIN,
            "test_flagged": round(float(np.mean(distances > score.limit)), 4),
            "test_median": round(float(np.median(distances)), 4),
        }
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
            out_of_distribution=score,
            envelope=Envelope.from_json(summary["training"]["acquisition"]),
        ),
        metrics=summary,
    )
