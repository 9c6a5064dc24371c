"""Predictions of all runs on one data set for the same test hips."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.cohort import dataset
from training.cohort.dataset import Hips
from training.fit.batches import labels
from training.fit.run import SUMMARY, TEST

Floats = npt.NDArray[np.float64]

VARIANT_NAMES = {
    "image": "image",
    "both": "image + demographics",
    "demographics": "demographics",
}


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of one model, in one variant of its inputs, for every test hip.

    ``probabilities`` : (n, 3). ``measured`` : figures with intervals (``measures``).
    """

    run_dir: Path
    model: str
    variant: str
    parameters: int
    probabilities: Floats
    measured: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of model and variant in tables."""
        return f"{self.model} ({VARIANT_NAMES[self.variant]})"


@dataclass(frozen=True, slots=True)
class Results:
    """Results of all runs on one test set; ``records`` are those of the whole data set."""

    records: tuple[dataset.Record, ...]
    test: Hips
    expected: npt.NDArray[np.intp]
    predictions: tuple[Predictions, ...]
    summaries: Mapping[str, Mapping[str, Any]]

    def find(self, model: str, variant: str) -> Predictions | None:
        """Return the predictions of a model in one variant, None where there are none."""
        matching = (p for p in self.predictions if (p.model, p.variant) == (model, variant))
        return next(matching, None)


def read_results(data_dir: Path, run_dirs: Sequence[Path]) -> Results:
    """Read all runs. Raises ValueError where a run was trained on other data."""
    hips = dataset.load(data_dir)
    test = hips.part("test")
    checksum = dataset.sha256(data_dir)
    predictions = []
    summaries = {}
    for run_dir in run_dirs:
        summary = json.loads((run_dir / SUMMARY).read_text())
        if summary["training"]["data_sha256"] != checksum:
            raise ValueError(
                f"{run_dir} was not trained on {data_dir} in its present state; give the data "
                "set of the run"
            )
        name = summary["model"]["name"]
        summaries[name] = summary
        with np.load(run_dir / TEST, allow_pickle=False) as probabilities:
            for variant, measured in summary["test"].items():
                predictions.append(
                    Predictions(
                        run_dir, name, variant, summary["model"]["parameters"],
                        probabilities[variant], measured,
                    )
                )  # fmt: skip
    return Results(hips.records, test, labels(test), tuple(predictions), summaries)
