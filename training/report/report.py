"""``training report``: write tables and figures of the paper for all runs on one split.

The report is one self-contained HTML page, with its figures also as PNG files.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training.report import figures, tables
from training.report.heat_maps import Maps, femur_share, heat_maps
from training.report.results import Results, read_results
from training.report.subgroups import subgroups
from training.report.tables import Table

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; font-size: 13px }
td, th { border-bottom: 1px solid #ccc; padding: .25rem .6rem; text-align: left }
tr.published { color: #666; font-style: italic }
img { max-width: 100% } figcaption, .note { color: #444; font-size: 13px }
.warning { border-left: 4px solid #d55e00; padding: .3rem .8rem; background: #fff4ec }
"""


def write_report(data_dir: Path, run_dirs: Sequence[Path], out_dir: Path) -> Path:
    """Write OUT/report.html and OUT/figures/*.png; return the path of the page.

    Raises ValueError where a run was trained on other data.
    """
    results = read_results(data_dir, run_dirs)
    (out_dir / "figures").mkdir(parents=True, exist_ok=True)
    parts = [_introduction(results)]
    parts += [_table(table) for table in tables.all_tables(results)]
    parts += [
        _figure(out_dir, name, caption, figure) for name, caption, figure in _figures(results)
    ]
    page = out_dir / "report.html"
    body = "\n".join(parts)
    page.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>osteoscreen: report"
        f"</title><style>{STYLE}</style><body>{body}</body></html>\n",
        encoding="utf-8",
    )
    return page


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
        f"{name}: {t['epochs']} of at most {t['preset']['fit']['epochs']} epochs, "
        f"best {t['best_epoch']}, {t['fitting_wall_seconds'] / 60:.0f} min"
        for name, t in zip(results.summaries, training, strict=True)
    )
    return (
        f"<h1>Report</h1>{warning}<p>Data: {html.escape(training[0]['data'])}. One split by "
        f"patient, stratified by grade (train / validation / test): {split}. Budget, equal for "
        f"all models: {html.escape(budget)} (wall time on a shared machine). Intervals: 95 %, "
        "bootstrap over patients.</p>"
        "<p class='note'>Rows in italics were published by Ha et al. (2024) for other "
        "patients; they cannot be compared with the other rows.</p>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
    rows = "".join(
        f"<tr{' class=published' if row[0].startswith('Ha 2024') else ''}>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in table.rows
    )
    note = f"<p class='note'>{html.escape(table.note)}</p>" if table.note else ""
    return f"<h2>{html.escape(table.title)}</h2><table><tr>{head}</tr>{rows}</table>{note}"


def _figure(out_dir: Path, name: str, caption: str, figure: Figure) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    (out_dir / "figures" / f"{name}.png").write_bytes(picture.getvalue())
    data = base64.b64encode(picture.getvalue()).decode()
    return (
        f"<figure id='{name}'><img alt='{html.escape(caption)}' "
        f"src='data:image/png;base64,{data}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
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
        caption += f" Share of its mass inside the true femur: {text}."
    return "grad-cam", caption, figures.grad_cam_figure(results.test, maps, correct)
