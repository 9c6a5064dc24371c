"""``training fit``: a data set in, a run out.

Steps: train → calibrate → measure what is unfamiliar → measure on held-out patients → save.
``RUN/model`` is a package that the worker loads (for a network that sees a picture),
``RUN/run.json`` says how it was made and what it is worth, ``RUN/test.npz`` holds what it said
of every test hip.
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

from training import dataset, familiarity
from training.calibration import calibrate
from training.dataset import Hips
from training.envelope import measure_envelope
from training.fit import Fitted, fit, outputs
from training.inputs import Batches, labels
from training.measures import evaluate
from training.presets import Preset
from training.schedule import Epoch
from training.split import PARTS, Part
from worker import package
from worker.model import CROP, FEATURES, PATIENT
from worker.pipeline.acquisition import Envelope
from worker.pipeline.classify import Familiarity, probabilities

MODEL, SUMMARY, TEST = "model", "run.json", "test.npz"


class Progress(Protocol):
    """Where a long command says how far it is."""

    def step(self, name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A step of ``total`` parts begins; the callable says how many more are done."""
        ...

    def say(self, text: str) -> None:
        """One line."""
        ...


def run(
    data_dir: Path,
    run_dir: Path,
    preset: Preset,
    *,
    seed: int,
    command: str,
    progress: Progress,
) -> dict[str, Any]:
    """Train, or go on training, and write the run; returns ``run.json``.

    ``command`` goes into the card.
    """
    hips = dataset.load(data_dir)
    parts = {part: hips.part(part) for part in PARTS}
    with progress.step(f"{preset.name}, epochs", preset.fit.epochs) as advance:

        def report(epoch: Epoch) -> None:
            advance(1)
            progress.say(_line(epoch))

        fitted = fit(parts["train"], parts["validation"], preset, run_dir, seed, report=report)
    variants = variants_of(fitted)
    temperatures = {
        name: calibrate(
            outputs(fitted.network, parts["validation"], with_patient=known).logits,
            labels(parts["validation"]),
        )
        for name, known in variants.items()
    }
    known = _familiarity(fitted, parts, preset, seed)
    summary = {
        "model": {
            "name": preset.name,
            "version": preset.version,
            "parameters": fitted.network.count_params(),
            "temperatures": temperatures,
        },
        "training": _training(data_dir, preset, parts, fitted, seed, command),
        **_test(fitted, run_dir, parts["test"], temperatures, known, seed),
    }
    if CROP in fitted.network.input:
        _save_package(run_dir / MODEL, fitted, preset, summary, known)
    (run_dir / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def variants_of(fitted: Fitted) -> dict[str, bool]:
    """The ways to ask a network: by name, with or without the patient."""
    inputs = fitted.network.input
    if CROP not in inputs:
        return {"demographics": True}
    if PATIENT not in inputs:
        return {"image": False}
    return {"image": False, "both": True} if _may_lack_patient(fitted) else {"both": True}


def _may_lack_patient(fitted: Fitted) -> bool:
    return str(fitted.network.name) == "osteoscreen"


def _line(epoch: Epoch) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in asdict(epoch).items())


def _familiarity(
    fitted: Fitted, parts: Mapping[Part, Hips], preset: Preset, seed: int
) -> Familiarity | None:
    """The training crops as they are and once augmented: both are familiar."""
    if CROP not in fitted.network.input:
        return None
    features = [outputs(fitted.network, parts["train"]).features]
    for inputs, _ in Batches(parts["train"], preset, seed, fitted.network.input, ()).epoch(0):
        features.append(fitted.network(inputs, training=False)[FEATURES].numpy())
    return familiarity.measure_familiarity(
        np.concatenate(features), outputs(fitted.network, parts["validation"]).features
    )


def _training(
    data_dir: Path,
    preset: Preset,
    parts: Mapping[Part, Hips],
    fitted: Fitted,
    seed: int,
    command: str,
) -> dict[str, Any]:
    train = parts["train"].records
    return {
        "command": command,
        "seed": seed,
        "date": datetime.now(UTC).date().isoformat(),
        "data": training_data(parts),
        "simulated": is_simulated(parts),
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


def is_simulated(parts: Mapping[Part, Hips]) -> bool:
    """Every patient of the cohort came out of the simulator."""
    return all(r.patient.startswith("SIM") for part in parts.values() for r in part.records)


def training_data(parts: Mapping[Part, Hips]) -> str:
    """What SR and card say of the data."""
    records = [record for part in parts.values() for record in part.records]
    scans, patients = len({r.scan for r in records}), len({r.patient for r in records})
    if is_simulated(parts):
        return (
            f"simulated CT: {scans:,} scans of {patients:,} simulated patients; no real patient"
        )
    return f"CT with DXA: {scans:,} scans of {patients:,} patients"


def _test(
    fitted: Fitted,
    run_dir: Path,
    test: Hips,
    temperatures: dict[str, float],
    known: Familiarity | None,
    seed: int,
) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    for name, with_patient in variants_of(fitted).items():
        found = outputs(fitted.network, test, with_patient=with_patient)
        arrays[name] = probabilities(found.logits, temperatures[name])
        if found.t_score is not None:
            arrays[f"{name}_t_score"] = found.t_score
        rng = np.random.default_rng([seed, 3])
        measured[name] = evaluate(arrays[name], labels(test), test.patients, rng)
    np.savez(run_dir / TEST, **arrays)
    result: dict[str, Any] = {"test": measured}
    if known is not None:
        distances = known.distance(found.features)
        result["familiarity"] = {
            "limit": known.limit,
            "directions": known.whitening.shape[1],
            "false_alarms_allowed": familiarity.FALSE_ALARMS,
            "margin": familiarity.MARGIN,
            "test_flagged": round(float(np.mean(distances > known.limit)), 4),
            "test_median": round(float(np.median(distances)), 4),
        }
    return result


def _save_package(
    model_dir: Path,
    fitted: Fitted,
    preset: Preset,
    summary: dict[str, Any],
    known: Familiarity | None,
) -> None:
    temperatures = summary["model"]["temperatures"]
    package.save(
        model_dir,
        fitted.network,
        package.Description(
            name=preset.name,
            version=preset.version,
            modality="image" if "image" in temperatures else "image and demographics",
            preset=preset.network,
            training_data=summary["training"]["data"],
            simulated=summary["training"]["simulated"],
        ),
        temperature=temperatures.get("image", 1.0),
        patient_temperature=temperatures.get("both"),
        familiarity=known,
        envelope=Envelope.from_json(summary["training"]["acquisition"]),
        metrics=summary,
    )
