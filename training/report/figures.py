"""Figures of the report, drawn from arrays by matplotlib."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from training.cohort.dataset import Hips
from training.evaluate.measures import CALIBRATION_BINS, grade_auc
from training.report.results import Predictions
from training.report.subgroups import SubgroupAccuracy
from worker.pipeline.model.networks import GRADES

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

NAMES = [grade.value for grade in GRADES]
# Okabe & Ito: distinguishable by color-blind readers.
COLORS = ("#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
OSTEOPOROSIS = len(GRADES) - 1


def confusion_figure(predictions: Sequence[Predictions]) -> Figure:
    """Draw confusion matrices: counts as text, shares of the true grade as color."""
    figure = Figure(figsize=(3.1 * len(predictions), 3.3), layout="constrained")
    for axes, one in zip(_row(figure, len(predictions)), predictions, strict=True):
        counts = np.array(one.measured["confusion"])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, f"{count}", ha="center", va="center", color=color)
        axes.set_xticks(range(3), NAMES, fontsize=6.5)
        axes.set_yticks(range(3), NAMES, fontsize=6.5, rotation=90, va="center")
        axes.set_xlabel("model", fontsize=8)
        axes.set_ylabel("DXA", fontsize=8)
        axes.set_title(one.name, fontsize=8)
    return figure


def roc_figure(predictions: Sequence[Predictions], expected: Integers) -> Figure:
    """Draw the ROC curve of each grade against the others, where there are both."""
    figure = Figure(figsize=(10.5, 3.7), layout="constrained")
    for grade, axes in enumerate(_row(figure, len(GRADES))):
        for one, color in zip(predictions, COLORS, strict=False):
            positive = expected == grade
            if positive.all() or not positive.any():
                continue
            x, y, _ = roc_curve(positive, one.probabilities[:, grade])
            area = grade_auc(one.probabilities, expected, grade)
            axes.plot(x, y, color=color, lw=1.3, label=f"{one.name}  {area:.3f}")
        axes.plot((0, 1), (0, 1), color="0.8", lw=0.8)
        axes.set_title(f"{NAMES[grade]} against the others", fontsize=9)
        axes.set_xlabel("1 − specificity", fontsize=8)
        axes.set_ylabel("sensitivity", fontsize=8)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=6.5, loc="lower right")
    return figure


def reliability_figure(predictions: Sequence[Predictions], expected: Integers) -> Figure:
    """Draw the share of correct grades against the probability of the most probable grade."""
    figure = Figure(figsize=(2.9 * len(predictions), 3.2), layout="constrained")
    for axes, one, color in zip(
        _row(figure, len(predictions)), predictions, COLORS, strict=False
    ):
        top = one.probabilities.max(axis=1)
        right = one.probabilities.argmax(axis=1) == expected
        bins = np.minimum((top * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        used = np.unique(bins)
        x = [top[bins == b].mean() for b in used]
        y = [right[bins == b].mean() for b in used]
        sizes = [4 + 120 * np.mean(bins == b) for b in used]
        axes.plot((0.3, 1), (0.3, 1), color="0.7", lw=0.8)
        axes.scatter(x, y, s=sizes, color=color)
        axes.set_xlim(0.3, 1.02)
        axes.set_ylim(0.0, 1.02)
        axes.set_title(f"{one.name}\nECE {one.measured['ece']:.3f}", fontsize=8)
        axes.set_xlabel("probability of the grade", fontsize=8)
        axes.set_ylabel("share right", fontsize=8)
    return figure


def decision_figure(predictions: Sequence[Predictions], expected: Integers) -> Figure:
    """Draw the net benefit of acting on osteoporosis.

    Source: Vickers & Elkin, Med Decis Making 2006.
    """
    figure = Figure(figsize=(6.2, 3.8), layout="constrained")
    axes = figure.subplots()
    positive = expected == OSTEOPOROSIS
    thresholds = np.linspace(0.02, 0.9, 89)
    odds = thresholds / (1 - thresholds)
    for one, color in zip(predictions, COLORS, strict=False):
        called = one.probabilities[:, OSTEOPOROSIS][:, None] >= thresholds
        benefit = np.mean(called & positive[:, None], axis=0)
        benefit = benefit - odds * np.mean(called & ~positive[:, None], axis=0)
        axes.plot(thresholds, benefit, color=color, lw=1.3, label=one.name)
    act_on_all = positive.mean() - odds * (1 - positive.mean())
    axes.plot(thresholds, act_on_all, color="0.6", lw=1, ls="--", label="act on all")
    axes.axhline(0, color="0.4", lw=0.8, label="act on none")
    axes.set_ylim(-0.05, float(positive.mean()) * 1.1)
    axes.set_xlabel("threshold probability of osteoporosis", fontsize=8)
    axes.set_ylabel("net benefit", fontsize=8)
    axes.legend(fontsize=7)
    return figure


def grad_cam_figure(
    test: Hips, maps: Mapping[str, npt.NDArray[np.float16]], right: Mapping[str, Any]
) -> Figure:
    """Draw the paper's Fig. 4: mean crop and mean Grad-CAM of the correct cases by grade."""
    figure = Figure(figsize=(7.6, 2.7 * len(maps)), layout="constrained")
    grid = figure.subplots(len(maps), len(GRADES), squeeze=False)
    for row, (name, heat) in zip(grid, maps.items(), strict=True):
        for grade, axes in enumerate(row):
            chosen = np.flatnonzero(right[name] & (_grades(test) == grade))
            axes.set_axis_off()
            axes.set_title(f"{name}\n{NAMES[grade]}, {len(chosen)} correct", fontsize=7.5)
            if len(chosen):
                mean = test.pixels[chosen].astype(np.float32).mean(axis=0)
                axes.imshow(mean, cmap="gray", vmin=0, vmax=160)
                # 0.7 image + 0.3 map (Ha 2024).
                axes.imshow(heat[chosen].mean(axis=0), cmap="inferno", alpha=0.3)
    return figure


def t_score_figure(
    predictions: Sequence[Predictions], test: Hips, expected: Integers
) -> Figure:
    """Draw the paper's Fig. 5: the T-scores of the errors."""
    figure = Figure(figsize=(3.1 * len(predictions), 3.2), layout="constrained")
    bins = np.arange(-5, 2.75, 0.25)
    for axes, one in zip(_row(figure, len(predictions)), predictions, strict=True):
        wrong = one.probabilities.argmax(axis=1) != expected
        axes.hist(test.t_scores, bins, color="0.85", label="all")
        axes.hist(test.t_scores[wrong], bins, color=COLORS[2], label="wrong")
        for limit in (-2.5, -1.0):
            axes.axvline(limit, color="0.3", lw=0.8, ls="--")
        axes.set_title(f"{one.name}\n{wrong.sum()} wrong", fontsize=8)
        axes.set_xlabel("T-score by DXA", fontsize=8)
        axes.legend(fontsize=7)
    return figure


def learning_figure(summaries: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw loss and accuracy on the validation hips by epoch."""
    figure = Figure(figsize=(9.5, 3.3), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for (name, summary), color in zip(summaries.items(), COLORS, strict=False):
        history = summary["training"]["history"]
        if not history:  # an ensemble
            continue
        epochs = [epoch["number"] for epoch in history]
        loss.plot(epochs, [e["validation_loss"] for e in history], color=color, label=name)
        accuracy.plot(epochs, [e["validation_accuracy"] for e in history], color=color)
        best = summary["training"]["best_epoch"] - 1
        loss.plot(epochs[best], history[best]["validation_loss"], "o", color=color)
    loss.set_ylabel("validation cross-entropy", fontsize=8)
    loss.set_ylim(0, 1.6)
    accuracy.set_ylabel("validation accuracy", fontsize=8)
    accuracy.set_ylim(0, 1)
    loss.legend(fontsize=7)
    for axes in (loss, accuracy):
        axes.set_xlabel("epoch (dot: the epoch kept)", fontsize=8)
    return figure


def subgroup_figure(rows: Sequence[SubgroupAccuracy]) -> Figure:
    """Draw the accuracy of subgroups with intervals."""
    figure = Figure(figsize=(6.6, 0.24 * len(rows) + 0.9), layout="constrained")
    axes = figure.subplots()
    for at, row in enumerate(rows):
        y = len(rows) - at
        value, low, high = (
            np.nan if row.accuracy[name] is None else float(row.accuracy[name] or 0.0)
            for name in ("value", "low", "high")
        )
        axes.plot((low, high), (y, y), color=COLORS[0], lw=1.2)
        axes.plot(value, y, "o", color=COLORS[0], ms=4)
        axes.text(1.02, y, f"{row.hips}", fontsize=7, va="center")
    labels = [f"{row.group}: {row.member}" for row in rows]
    axes.set_yticks(range(len(rows), 0, -1), labels, fontsize=7)
    axes.set_xlim(0.3, 1.0)
    axes.set_xlabel("accuracy, 95 % interval (right: hips)", fontsize=8)
    return figure


def _grades(test: Hips) -> Integers:
    return np.array([GRADES.index(record.grade) for record in test.records], np.intp)


def _row(figure: Figure, count: int) -> Sequence[Any]:
    return list(figure.subplots(1, count, squeeze=False)[0])
