"""``training cross-validate``: k folds, repeated, of the patients who are not for testing.

The test hips of the data set are not read for any figure. Of each fold of patients, another
fold selects the epoch and calibrates (``training.cohort.folds``).

``OUT/fold-R-N``              run of fold N in repeat R
``OUT/cross_validation.json`` figures of each fold and of all hips out of fold
``OUT/out_of_fold.csv``       probabilities of each hip by the run that has not seen it
``OUT/out_of_fold.npz``       the same as arrays, with the indices of the hips in the data set
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from training.cohort import dataset
from training.cohort.dataset import Record
from training.cohort.folds import Fold, assign_records
from training.evaluate.measures import RESAMPLES, measure_performance
from training.fit.describe import require_source
from training.fit.run import SUMMARY, TEST, Options, Progress, fit_and_measure
from training.presets import Preset
from worker.pipeline.model.networks import GRADES

RESULT, TABLE, ARRAYS = "cross_validation.json", "out_of_fold.csv", "out_of_fold.npz"
MIN_FOLDS = 3
FIGURES = ("accuracy", "sensitivity", "specificity", "macro_auc", "ece")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is fitted, and the number of folds and repeats; each repeat draws other folds."""

    preset: Preset
    folds: int = 5
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Predictions of all runs for hips that they have not seen, (n,) in the order of the runs.

    ``hips`` : indices in the data set. ``shares`` : (n, 3) probabilities of each variant.
    """

    hips: npt.NDArray[np.intp]
    repeats: npt.NDArray[np.intp]
    shares: Mapping[str, npt.NDArray[np.float64]]


def cross_validate(
    data_dir: Path,
    out_dir: Path,
    plan: Plan,
    *,
    options: Options,
    command: str,
    progress: Progress,
) -> dict[str, Any]:
    """Fit every fold, or continue, and return ``cross_validation.json``.

    Raises ValueError for too few folds, a fold without hips, and where a run of a fold was
    started with other data or another configuration.
    """
    folds = _folds_of(plan, require_source(data_dir).seed)
    summaries = []
    for fold in folds:
        keras.backend.clear_session()
        of_fold = replace(options, fold=fold, resamples=0)
        summary = fit_and_measure(
            data_dir, fold_dir(out_dir, fold), plan.preset,
            options=of_fold, command=command, progress=progress,
        )  # fmt: skip
        summaries.append(summary)
    records = dataset.load_records(data_dir)
    found = gather(out_dir, folds, records)
    result = {
        "folds": plan.folds,
        "repeats": plan.repeats,
        "command": command,
        **_common(summaries[0]),
        "preset": asdict(plan.preset),
        "runs": [fold_dir(out_dir, fold).name for fold in folds],
        "fold_figures": [_of_fold(each) for each in summaries],
        "spread": _spread(summaries),
        "out_of_fold": _pooled(found, records, options.seed),
    }
    arrays: dict[str, Any] = {"hips": found.hips, "repeats": found.repeats, **found.shares}
    np.savez(out_dir / ARRAYS, **arrays)
    _write_table(out_dir / TABLE, found, records)
    (out_dir / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    return result


def _folds_of(plan: Plan, key: int) -> list[Fold]:
    """Return the folds of all repeats; ``key`` : seed of the split. Raises ValueError."""
    if plan.folds < MIN_FOLDS:
        raise ValueError(
            f"--folds {plan.folds}: at least {MIN_FOLDS} are needed, because one fold is "
            "measured, one selects the epoch and calibrates, and the others are trained on"
        )
    return [
        Fold(plan.folds, number, repeat, key)
        for repeat in range(plan.repeats)
        for number in range(plan.folds)
    ]


def _common(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a run that are the same in all runs."""
    return {
        "model": summary["model"]["name"],
        "parameters": summary["model"]["parameters"],
        "simulated": summary["training"]["simulated"],
        "data_sha256": summary["training"]["data_sha256"],
    }


def fold_dir(out_dir: Path, fold: Fold) -> Path:
    """Return the folder of a fold's run."""
    return out_dir / f"fold-{fold.repeat + 1}-{fold.number + 1}"


def gather(out_dir: Path, folds: Sequence[Fold], records: Sequence[Record]) -> OutOfFold:
    """Return the predictions of all runs for the hips of their folds."""
    hips, repeats = [], []
    shares: dict[str, list[npt.NDArray[np.float64]]] = {}
    for fold in folds:
        parts = [record.part for record in assign_records(records, fold)]
        chosen = np.flatnonzero([part == "test" for part in parts])
        hips.append(chosen)
        repeats.append(np.full(len(chosen), fold.repeat))
        summary = json.loads((fold_dir(out_dir, fold) / SUMMARY).read_text())
        with np.load(fold_dir(out_dir, fold) / TEST, allow_pickle=False) as arrays:
            for name in summary["test"]:
                shares.setdefault(name, []).append(arrays[name])
    joined = {name: np.concatenate(each) for name, each in shares.items()}
    return OutOfFold(np.concatenate(hips), np.concatenate(repeats), joined)


def _of_fold(summary: Mapping[str, Any]) -> dict[str, Any]:
    fold = summary["training"]["fold"]
    return {
        "repeat": fold["repeat"] + 1,
        "fold": fold["number"] + 1,
        "hips": summary["training"]["hips"],
        "epochs": summary["training"]["epochs"],
        "best_epoch": summary["training"]["best_epoch"],
        **{
            variant: {name: _value(measured[name]) for name in FIGURES}
            for variant, measured in summary["test"].items()
        },
    }


def _value(figure: Any) -> float | None:
    value: float | None = figure["value"] if isinstance(figure, dict) else figure
    return value


def _spread(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return mean and standard deviation of each figure over all runs that have it."""
    spread: dict[str, Any] = {}
    for variant in summaries[0]["test"]:
        for name in FIGURES:
            values = [_value(each["test"][variant][name]) for each in summaries]
            known = [value for value in values if value is not None]
            deviation = float(np.std(known, ddof=1)) if len(known) > 1 else None
            spread.setdefault(variant, {})[name] = {
                "mean": round(float(np.mean(known)), 4) if known else None,
                "sd": None if deviation is None else round(deviation, 4),
                "runs": len(known),
            }
    return spread


def _pooled(found: OutOfFold, records: Sequence[Record], seed: int) -> dict[str, Any]:
    """Return the figures of all hips out of fold; a patient is drawn with all repeats."""
    expected = np.array([GRADES.index(record.grade) for record in records], np.intp)
    patients = np.array([record.patient for record in records], np.str_)
    return {
        name: measure_performance(
            shares, expected[found.hips], patients[found.hips],
            np.random.default_rng([seed, 3]), RESAMPLES,
        )
        for name, shares in found.shares.items()
    }  # fmt: skip


def _write_table(path: Path, found: OutOfFold, records: Sequence[Record]) -> None:
    names = [f"{grade.value} ({name})" for name in found.shares for grade in GRADES]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["repeat", "patient", "scan", "side", "t_score", "grade", *names])
        for at, index in enumerate(found.hips.tolist()):
            record = records[index]
            shares = [value for each in found.shares.values() for value in each[at].tolist()]
            known = [
                record.patient,
                record.scan,
                record.side,
                record.t_score,
                record.grade.value,
            ]
            table.writerow([int(found.repeats[at]) + 1, *known, *shares])
