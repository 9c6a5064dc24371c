"""Plot of the learning curves of fine-tuning and of training from scratch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

COLORS = {"fine-tuned": "#0072b2", "from scratch": "#d55e00"}
MEASURES = {"accuracy": "accuracy", "macro_auc": "macro AUC"}


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Write a PNG: each run a dot, the mean of the runs of one size a line."""
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    for axes, (measure, label) in zip(figure.subplots(1, 2), MEASURES.items(), strict=True):
        for way, color in COLORS.items():
            runs = [run for run in found["runs"].values() if run["way"] == way]
            sizes = sorted({run["patients"] for run in runs})
            means = [
                np.mean([run[measure] for run in runs if run["patients"] == size])
                for size in sizes
            ]
            axes.plot(sizes, means, color=color, label=way)
            x, y = [run["patients"] for run in runs], [run[measure] for run in runs]
            axes.scatter(x, y, s=14, color=color, alpha=0.6, lw=0)
        axes.axhline(found["shipped"][measure], color="0.4", ls="--", lw=1)
        axes.text(20, found["shipped"][measure], "shipped model", fontsize=7, va="bottom")
        axes.set(xscale="log", xlabel="patients for training and validation", ylabel=label)
        axes.set_xticks((20, 50, 100, 200), ("20", "50", "100", "200"), minor=False)
        axes.minorticks_off()
        axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=110)
