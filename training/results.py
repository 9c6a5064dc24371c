"""What the runs of one data set said of the same test hips, read back for the report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training import dataset
from training.dataset import Hips
from training.inputs import labels
from training.run import SUMMARY, TEST

Floats = npt.NDArray[np.float64]

WORDS = {"image": "image", "both": "image + demographics", "demographics": "demographics"}


@dataclass(frozen=True, slots=True)
class Answers:
    """One model, asked in one way, on every test hip.

    ``probabilities`` : (n, 3). ``measured`` : its figures with intervals (``measures``).
    """

    run_dir: Path
    model: str
    variant: str
    parameters: int
    probabilities: Floats
    measured: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As tables call it."""
        return f"{self.model} ({WORDS[self.variant]})"


@dataclass(frozen=True, slots=True)
class Results:
    """All runs on one test set."""

    records: tuple[dataset.Record, ...]
    """Of the whole data set."""
    test: Hips
    expected: npt.NDArray[np.intp]
    answers: tuple[Answers, ...]
    summaries: Mapping[str, Mapping[str, Any]]

    def find(self, model: str, variant: str) -> Answers | None:
        """The answers of a model asked in one way."""
        found = (a for a in self.answers if (a.model, a.variant) == (model, variant))
        return next(found, None)


def read_results(data_dir: Path, run_dirs: Sequence[Path]) -> Results:
    """Read all runs. Raises ValueError where one was trained on other data."""
    hips = dataset.load(data_dir)
    test = hips.part("test")
    checksum = dataset.sha256(data_dir)
    answers = []
    summaries = {}
    for run_dir in run_dirs:
        summary = json.loads((run_dir / SUMMARY).read_text())
        if summary["training"]["data_sha256"] != checksum:
            raise ValueError(f"{run_dir} was not trained on {data_dir} as it is now")
        name = summary["model"]["name"]
        summaries[name] = summary
        with np.load(run_dir / TEST, allow_pickle=False) as said:
            for variant, measured in summary["test"].items():
                answers.append(
                    Answers(
                        run_dir, name, variant, summary["model"]["parameters"],
                        said[variant], measured,
                    )
                )  # fmt: skip
    return Results(hips.records, test, labels(test), tuple(answers), summaries)
