"""ROC curves of the measurements, with the published limits as points."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from training.evaluate.hip_evaluation import HipEvaluation
from training.evaluate.measurements import Sample, measure_sites, samples_of
from training.evaluate.measures import format_interval

# Okabe & Ito: distinguishable by color-blind readers.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00")
MARKERS = ("o", "s", "^", "v")
DPI = 150


def write_measurements(
    out_dir: Path, evaluations: Sequence[HipEvaluation], seed: int
) -> dict[str, Any]:
    """Draw ``measurements.png`` and return the figures of each site."""
    samples = samples_of(evaluations)
    sites = measure_sites(samples, np.random.default_rng([seed, 5]))
    save_figure(out_dir / "measurements.png", samples, sites)
    return sites


def save_figure(path: Path, samples: Mapping[str, Sample], sites: Mapping[str, Any]) -> bool:
    """Draw the sites that have values of both classes; return False where none has."""
    shown = {site: sample for site, sample in samples.items() if sample.has_both}
    if not shown:
        return False
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.subplots()
    for color, (site, sample) in zip(COLORS, shown.items(), strict=False):
        x, y, _ = roc_curve(sample.positive, -np.rint(sample.hu))
        label = f"{site}, {len(sample.hu)} values: AUC {format_interval(sites[site]['auc'])}"
        axes.plot(x, y, color=color, lw=1.4, label=label)
        for marker, limit in zip(MARKERS, sites[site]["limits"], strict=False):
            found = limit["all"]
            axes.plot(
                1 - found["specificity"]["value"], found["sensitivity"]["value"],
                marker=marker, color=color, ls="none", ms=8, clip_on=False,
                label=f"{site} ≤ {limit['limit_hu']:.0f} HU ({limit['published']})",
            )  # fmt: skip
    axes.plot((0, 1), (0, 1), color="0.8", lw=0.8)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")
    axes.set_title(
        "Attenuation against osteoporosis by DXA (T-score −2.5 or less)", fontsize=10
    )
    axes.legend(fontsize=7.5, loc="lower right")
    figure.savefig(path, dpi=DPI)
    return True
