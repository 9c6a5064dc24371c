"""``training report``: every table and figure of the paper for all runs on one split, as one
self-contained HTML page and PNG files."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training import figures, report_tables
from training.attention import femur_share, heat_maps
from training.report_tables import Table
from training.results import Results, read_results
from training.subgroups import subgroups

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; font-size: 13px }
td, th { border-bottom: 1px solid #ccc; padding: .25rem .6rem; text-align: left }
tr.published { color: #666; font-style: italic }
img { max-width: 100% } figcaption, .note { color: #444; font-size: 13px }
.warning { border-left: 4px solid #d55e00; padding: .3rem .8rem; background: #fff4ec }
"""


def write_report(data_dir: Path, run_dirs: Sequence[Path], out_dir: Path) -> Path:
    """Write OUT/report.html and OUT/figures/*.png; returns the page.

    Raises ValueError where a run was trained on other data.
    """
    results = read_results(data_dir, run_dirs)
    (out_dir / "figures").mkdir(parents=True, exist_ok=True)
    parts = [_introduction(results)]
    parts += [_table(table) for table in report_tables.before_figures(results)]
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
        "<p class='warning'><b>Simulated CT.</b> No patient is behind these figures: they say "
        "how well the networks read simulated pictures, and nothing of real ones.</p>"
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
        "<p class='note'>Rows in italics were published by Ha et al. (2024) on their own "
        "patients: other data, so no comparison.</p>"
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
    answers, expected = results.answers, results.expected
    found = [
        ("confusion", "Confusion matrices.", figures.confusion_figure(answers)),
        ("roc", "ROC of each grade; AUC in the legend.", figures.roc_figure(answers, expected)),
        (
            "reliability",
            "Calibration of the most probable grade; area of a dot: share of the hips.",
            figures.reliability_figure(answers, expected),
        ),
        (
            "decision",
            "Decision curve for osteoporosis.",
            figures.decision_figure(answers, expected),
        ),
        (
            "t-score",
            "T-scores of the errors (the paper's Fig. 5).",
            figures.t_score_figure(answers, results.test, expected),
        ),
        (
            "learning",
            "Learning curves; losses above 1.6 lie outside of the picture.",
            figures.learning_figure(results.summaries),
        ),
    ]
    best = results.find("osteoscreen", "image") or answers[0]
    rows = subgroups(best, results.test, expected)
    found.append(("subgroups", f"Sub-groups, {best.name}.", figures.subgroup_figure(rows)))
    maps = heat_maps(results)
    if maps:
        right = {
            one.name: one.probabilities.argmax(axis=1) == expected
            for one in answers
            if one.name in maps
        }
        shares = femur_share(maps, right, results.test)
        said = "; ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
        found.append(
            (
                "grad-cam",
                "Mean Grad-CAM of the correct cases (the paper's Fig. 4)."
                + (f" Share of its mass inside the true femur: {said}." if said else ""),
                figures.grad_cam_figure(results.test, maps, right),
            )
        )
    return found
