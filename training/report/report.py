"""``training report``: write tables and figures of the paper for all runs on one split.

The report is one self-contained HTML page, with its figures also as PNG files.
"""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from training.report import figures, tables
from training.report.heat_maps import Maps, femur_share, heat_maps
from training.report.page import figure_element, table_element, write_page
from training.report.results import Results, read_results
from training.report.subgroups import subgroups


def write_report(data_dir: Path, run_dirs: Sequence[Path], out_dir: Path) -> Path:
    """Write OUT/report.html and OUT/figures/*.png; return the path of the page.

    Raises ValueError where a run was trained on other data.
    """
    results = read_results(data_dir, run_dirs)
    parts = [_introduction(results)]
    parts += [table_element(table) for table in tables.all_tables(results)]
    parts += [figure_element(out_dir, *each) for each in _figures(results)]
    return write_page(out_dir / "report.html", "osteoscreen: report", parts)


def _introduction(results: Results) -> str:
    training = [summary["training"] for summary in results.summaries.values()]
    simulated = all(each["simulated"] for each in training)
    warning = (
        "<p class='warning'><b>Simulated CT.</b> These figures are not of real patients. They "
        "state how well the networks grade simulated images and nothing about real ones.</p>"
        if simulated
        else ""
    )
    hips, patients = training[0]["hips"], training[0]["patients"]
    split = " / ".join(f"{hips[part]} hips of {patients[part]} patients" for part in hips)
    budget = "; ".join(
        _budget(name, each) for name, each in zip(results.summaries, training, strict=True)
    )
    return (
        f"<h1>Report</h1>{warning}<p>Data: {html.escape(training[0]['data'])}. One split by "
        f"patient, stratified by grade (train / validation / test): {split}. Budget, equal for "
        f"all models: {html.escape(budget)} (wall time on a shared machine). Intervals: 95 %, "
        "bootstrap over patients.</p>"
        "<p class='note'>Rows in italics were published by Ha et al. (2024) for other "
        "patients; they cannot be compared with the other rows.</p>"
    )


def _budget(name: str, training: Mapping[str, Any]) -> str:
    if not training["history"]:
        return f"{name}: {len(training['member_epochs'])} members"
    most = training["preset"]["fit"]["epochs"]
    return (
        f"{name}: {training['epochs']} of at most {most} epochs, "
        f"best {training['best_epoch']}, {training['fitting_wall_seconds'] / 60:.0f} min"
    )


def _figures(results: Results) -> Sequence[tuple[str, str, Figure]]:
    predictions, expected = results.predictions, results.expected
    drawn = [
        ("confusion", "Confusion matrices.", figures.confusion_figure(predictions)),
        (
            "roc",
            "ROC of each grade; AUC in the legend.",
            figures.roc_figure(predictions, expected),
        ),
        (
            "reliability",
            "Calibration of the most probable grade; dot area: share of the hips.",
            figures.reliability_figure(predictions, expected),
        ),
        (
            "decision",
            "Decision curve for osteoporosis.",
            figures.decision_figure(predictions, expected),
        ),
        (
            "t-score",
            "T-scores of the errors (the paper's Fig. 5).",
            figures.t_score_figure(predictions, results.test, expected),
        ),
        (
            "learning",
            "Learning curves; losses above 1.6 are not shown.",
            figures.learning_figure(results.summaries),
        ),
    ]
    best = results.find("osteoscreen", "image") or predictions[0]
    rows = subgroups(best, results.test, expected)
    drawn.append(("subgroups", f"Subgroups, {best.name}.", figures.subgroup_figure(rows)))
    maps = heat_maps(results)
    return [*drawn, _grad_cam(results, maps)] if maps else drawn


def _grad_cam(results: Results, maps: Mapping[str, Maps]) -> tuple[str, str, Figure]:
    correct = {
        model.name: model.probabilities.argmax(axis=1) == results.expected
        for model in results.predictions
        if model.name in maps
    }
    caption = "Mean Grad-CAM of the correct cases (the paper's Fig. 4)."
    shares = femur_share(maps, correct, results.test)
    if shares:
        text = "; ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
        caption += f" Share of its mass inside the femur outline: {text}."
    return "grad-cam", caption, figures.grad_cam_figure(results.test, maps, correct)
