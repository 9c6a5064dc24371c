"""Figures of small test sets."""

from pathlib import Path

import numpy as np

from training.report.figures import roc_figure
from training.report.results import Predictions


def test_a_grade_without_hips_has_no_roc_curve() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1]])
    one = Predictions(Path(), "site", "image", 7, shares, {})

    figure = roc_figure([one], np.array([0, 1, 1]))

    # The diagonal, and the curve where a grade has hips and others.
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 1]
