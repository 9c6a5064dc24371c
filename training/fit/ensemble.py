"""``training ensemble``: one model of the runs of a cross-validation.

Its probabilities are the mean of the calibrated probabilities of all runs. Here, for the
first time, the test hips of the data set are measured. The result is a run as of ``fit``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from training.cohort import dataset
from training.cohort.dataset import Hips, Record
from training.evaluate.measures import RESAMPLES, measure_performance
from training.fit import out_of_distribution
from training.fit.batches import labels, patient_vectors
from training.fit.binding import write_patients
from training.fit.cross_validation import RESULT
from training.fit.describe import training_data
from training.fit.envelope import measure_envelope
from training.fit.run import MODEL, SUMMARY, TEST, Progress
from training.presets import AugmentSettings
from worker.pipeline.acquisition import Envelope
from worker.pipeline.femur_shape import STEP_MM
from worker.pipeline.model import package
from worker.pipeline.model.classify import ImageModel, OutOfDistributionScore, probabilities
from worker.pipeline.model.explain import Explained


def make_ensemble(
    data_dir: Path,
    validation_dir: Path,
    run_dir: Path,
    *,
    command: str,
    progress: Progress,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Write a run whose model has all runs of a cross-validation as members.

    Raises ValueError where the cross-validation is of other data, or of a network without
    an image input.
    """
    result = _read_result(data_dir, validation_dir)
    members = [validation_dir / name for name in result["runs"]]
    summaries = [json.loads((member / SUMMARY).read_text()) for member in members]
    hips = dataset.load(data_dir)
    training = _training(summaries, hips.records, command)
    model = _model(result["model"], summaries)
    score = _save(run_dir / MODEL, members, model, training)
    loaded = package.load(run_dir / MODEL)
    variants = list(model["temperatures"])
    test = hips.part("test")
    with progress.step("test hips", len(test.records) * len(variants)) as advance:
        outputs = {name: _outputs(loaded, test, name, advance) for name in variants}
    measured = _test(run_dir, test, outputs, resamples)
    features = np.array([each.features for each in outputs[variants[0]]])
    rule = summaries[0]["familiarity"]
    measured["familiarity"] = out_of_distribution.describe(score, score.distance(features)) | {
        name: rule[name] for name in ("margin", "misses_allowed") if name in rule
    }
    summary = {
        "model": model,
        "training": training,
        **measured,
        "cross_validation": {name: result[name] for name in ("folds", "repeats", "spread")},
    }
    write_patients(run_dir, hips.records)
    (run_dir / MODEL / package.METRICS).write_text(json.dumps(summary, indent=1) + "\n")
    (run_dir / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def _read_result(data_dir: Path, validation_dir: Path) -> dict[str, Any]:
    """Return ``cross_validation.json`` of this data. Raises ValueError."""
    result: dict[str, Any] = json.loads((validation_dir / RESULT).read_text())
    if result["data_sha256"] != dataset.sha256(data_dir):
        raise ValueError(
            f"{validation_dir} was made of other data than {data_dir} has now; give the data "
            "set of the cross-validation"
        )
    if not (validation_dir / result["runs"][0] / MODEL).exists():
        raise ValueError(f"{result['model']} takes no image: the worker cannot use it")
    return result


def _model(name: str, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return ``model`` of ``run.json``."""
    first = summaries[0]["model"]
    return {
        "name": name,
        "version": f"{first['version']}+folds.{len(summaries)}",
        "parameters": sum(each["model"]["parameters"] for each in summaries),
        "temperatures": {variant: 1.0 for variant in first["temperatures"]},
        "members": len(summaries),
    }


def _training(
    summaries: Sequence[Mapping[str, Any]], records: Sequence[Record], command: str
) -> dict[str, Any]:
    """Return ``training`` of ``run.json``: the members' common values and the sums of others.

    All patients who are not for testing trained one member and selected another, so that train
    and validation are both all of them.
    """
    first = {name: value for name, value in summaries[0]["training"].items() if name != "fold"}
    seen = [record for record in records if record.part != "test"]
    tested = [record for record in records if record.part == "test"]
    parts = {"train": seen, "validation": seen, "test": tested}
    seconds = sum(each["training"]["fitting_wall_seconds"] for each in summaries)
    augment = AugmentSettings(**first["preset"]["augment"])
    data = training_data(records, simulated=first["simulated"])
    initial = first.get("initial")
    start = "" if initial is None else f"; started from {initial['name']} {initial['version']}"
    return first | {
        "command": command,
        "hips": {name: len(each) for name, each in parts.items()},
        "patients": {name: len({r.patient for r in each}) for name, each in parts.items()},
        "fitting_wall_seconds": seconds,
        "data": f"{data}{start}; {len(summaries)} members of a cross-validation",
        "member_epochs": [each["training"]["best_epoch"] for each in summaries],
        "acquisition": asdict(measure_envelope(seen, augment)),
        "history": [],
    }


def _save(
    model_dir: Path,
    members: Sequence[Path],
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> OutOfDistributionScore:
    """Write the package and return its out-of-distribution score."""
    folders = [member / MODEL for member in members]
    headers = [package.verify(folder) for folder in folders]
    loaded = [package.load(folder).out_of_distribution for folder in folders]
    score = joint_score([each for each in loaded if each is not None])
    quantiles = [header["t_score_quantile"] for header in headers]
    both = all(header["patient_temperature"] is not None for header in headers)
    package.save_ensemble(
        model_dir,
        folders,
        package.Description(
            name=model["name"],
            version=model["version"],
            modality=headers[0]["modality"],
            preset=headers[0]["preset"],
            training_data=training["data"],
            simulated=training["simulated"],
        ),
        calibration=package.Calibration(
            patient_temperature=1.0 if both else None,
            t_score_quantile=None if None in quantiles else round(max(quantiles), 4),
            out_of_distribution=score,
            envelope=Envelope.from_json(training["acquisition"]),
        ),
    )
    return score


def joint_score(scores: Sequence[OutOfDistributionScore]) -> OutOfDistributionScore:
    """Return the score of the joined features: the root mean square of the distances.

    Its limit is that of the members' limits, each of validation hips of its own.
    """
    counts = [score.whitening.shape[1] for score in scores]
    equal = np.sqrt(np.mean(counts) / counts)  # a member weighs alike with fewer directions
    blocks = [score.whitening * weight for score, weight in zip(scores, equal, strict=True)]
    return OutOfDistributionScore(
        np.concatenate([score.mean for score in scores]),
        block_diag(*blocks),
        round(float(np.sqrt(np.mean([score.limit**2 for score in scores]))), 4),
    )


def _outputs(
    model: ImageModel, hips: Hips, variant: str, advance: Callable[[int], None]
) -> list[Explained]:
    """Return the outputs of the model for hips; ``both`` gives it the demographics."""
    outputs = []
    for index, patient in enumerate(patient_vectors(hips)):
        known = patient if variant == "both" else None
        femur_mm = None if hips.femurs is None else np.float32(STEP_MM) * hips.femurs[index]
        outputs.append(model.explain(hips.pixels[index].astype(np.float32), known, femur_mm))
        advance(1)
    return outputs


def _test(
    run_dir: Path, test: Hips, outputs: Mapping[str, Sequence[Explained]], resamples: int
) -> dict[str, Any]:
    """Write ``test.npz`` and return the figures of the test hips."""
    arrays: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    for name, found in outputs.items():
        arrays[name] = probabilities(np.array([each.logits for each in found]), 1.0)
        if found[0].t_score is not None:
            arrays[f"{name}_t_score"] = np.array([each.t_score for each in found])
        rng = np.random.default_rng([1, 3])
        measured[name] = measure_performance(
            arrays[name], labels(test), test.patients, rng, resamples
        )
    np.savez(run_dir / TEST, **arrays)
    return {"test": measured}
