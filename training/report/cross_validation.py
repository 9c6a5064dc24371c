"""Page of a cross-validation: figures of each fold and of all hips out of fold."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from training.cohort import dataset
from training.evaluate.measures import OVERALL, format_interval
from training.fit.cross_validation import ARRAYS, FIGURES
from training.report import figures
from training.report.page import figure_element, table_element, write_page
from training.report.results import VARIANT_NAMES, Predictions
from training.report.tables import Table
from worker.pipeline.model.networks import GRADES

LABELS = {
    "accuracy": "ACC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    "macro_auc": "macro AUC",
    "ece": "ECE",
}


def write_cross_validation(data_dir: Path, out_dir: Path, result: Mapping[str, Any]) -> Path:
    """Write OUT/report.html and OUT/figures/*.png; return the path of the page."""
    with np.load(out_dir / ARRAYS, allow_pickle=False) as arrays:
        hips = arrays["hips"]
        shares = {name: arrays[name] for name in result["out_of_fold"]}
    records = dataset.load_records(data_dir)
    expected = np.array([GRADES.index(records[i].grade) for i in hips.tolist()], np.intp)
    predictions = [
        Predictions(
            out_dir, result["model"], name, result["parameters"], shares[name], measured
        )
        for name, measured in result["out_of_fold"].items()
    ]
    parts = [_introduction(result), *map(table_element, (_pooled(result), *_folds(result)))]
    drawn = (
        ("folds", "Each run; line: mean.", _fold_figure(result)),
        ("confusion", "Confusion, out of fold.", figures.confusion_figure(predictions)),
        ("roc", "ROC, out of fold.", figures.roc_figure(predictions, expected)),
        ("reliability", "Calibration.", figures.reliability_figure(predictions, expected)),
        ("decision", "Decision curve.", figures.decision_figure(predictions, expected)),
    )
    parts += [figure_element(out_dir, *each) for each in drawn]
    return write_page(out_dir / "report.html", "osteoscreen: cross-validation", parts)


def _introduction(result: Mapping[str, Any]) -> str:
    warning = (
        "<p class='warning'><b>Simulated CT.</b> These figures are not of real patients.</p>"
        if result["simulated"]
        else ""
    )
    repeats = f"{result['repeats']} times " if result["repeats"] > 1 else ""
    first = next(iter(result["out_of_fold"].values()))
    return (
        f"<h1>Cross-validation</h1>{warning}<p>{html.escape(result['model'])}, {repeats}"
        f"{result['folds']} folds of {first['patients']} patients by a keyed hash of the "
        "patient. Each fold was measured by a run that has not seen it; another fold selected "
        "the epoch and calibrated. The test hips of the data set were not used.</p>"
        "<p class='note'>Intervals: 95 %, bootstrap over patients, each drawn with all of its "
        "hips and repeats. They describe other patients, not other trainings: runs share "
        "training patients, so the spread of the folds is not an interval.</p>"
    )


def _pooled(result: Mapping[str, Any]) -> Table:
    rows = [
        [
            VARIANT_NAMES[name],
            str(measured["hips"]),
            *(format_interval(measured[key]) for key in OVERALL),
            f"{measured['ece']:.3f}",
        ]
        for name, measured in result["out_of_fold"].items()
    ]
    columns = ["inputs", "predictions", *(LABELS[key] for key in OVERALL), "ECE"]
    return Table("All hips out of fold", columns, rows)


def _folds(result: Mapping[str, Any]) -> Sequence[Table]:
    return [_fold_table(result, name) for name in result["out_of_fold"]]


def _fold_table(result: Mapping[str, Any], variant: str) -> Table:
    rows = []
    for fold in result["fold_figures"]:
        hips = fold["hips"]
        counts = f"{hips['train']} / {hips['validation']} / {hips['test']}"
        epochs = f"{fold['best_epoch']} of {fold['epochs']}"
        values = [_number(fold[variant][key]) for key in FIGURES]
        rows.append([str(fold["repeat"]), str(fold["fold"]), counts, epochs, *values])
    spread = result["spread"][variant]
    cells = [
        f"{_number(spread[key]['mean'])} ± {_number(spread[key]['sd'])}" for key in FIGURES
    ]
    rows.append(["mean ± SD", "", "", "", *cells])
    columns = ["repeat", "fold", "train / selection / measured", "epoch"]
    return Table(
        f"Folds, {VARIANT_NAMES[variant]}", [*columns, *(LABELS[key] for key in FIGURES)], rows
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _fold_figure(result: Mapping[str, Any]) -> Figure:
    """Draw each run's figures as dots, with their mean."""
    shown = FIGURES[:-1]
    figure = Figure(figsize=(7.0, 3.2), layout="constrained")
    axes = figure.subplots()
    variants = list(result["out_of_fold"])
    for at, variant in enumerate(variants):
        color = figures.COLORS[at]
        for x, key in enumerate(shown):
            values = [fold[variant][key] for fold in result["fold_figures"]]
            known = [value for value in values if value is not None]
            place = x + 0.18 * (at - (len(variants) - 1) / 2)
            axes.plot([place] * len(known), known, "o", color=color, ms=4, alpha=0.6)
            mean = result["spread"][variant][key]["mean"]
            if mean is not None:
                axes.plot((place - 0.07, place + 0.07), (mean, mean), color=color, lw=2)
        axes.plot([], [], "o", color=color, label=VARIANT_NAMES[variant])
    axes.set_xticks(range(len(shown)), [LABELS[key] for key in shown])
    axes.set_ylim(None, 1.0)
    axes.legend(fontsize=8, loc="lower right")
    return figure
