"""``training package``: a run becomes a model directory with its card, ready to be shipped."""

import json
import shutil
from pathlib import Path
from typing import Any

from training.model_card import write_card
from training.run import MODEL, SUMMARY
from worker import package


def make_package(
    run_dir: Path, model_dir: Path, evaluation: dict[str, Any] | None, command: str
) -> None:
    """Copy the run's model and write metrics and card.

    ``evaluation`` : what ``evaluate`` measured of the worker's whole path with this model.
    Raises ModelError where the run has no model that the worker can use.
    """
    metrics = json.loads((run_dir / SUMMARY).read_text())
    metrics["packaging"] = {"command": command}
    if evaluation is not None:
        metrics["whole_path"] = evaluation
    model_dir.mkdir(parents=True, exist_ok=True)
    # The header comes last: half a package does not load.
    (model_dir / package.HEADER).unlink(missing_ok=True)
    for name in (package.WEIGHTS, package.FAMILIARITY):
        if (run_dir / MODEL / name).exists():
            shutil.copy2(run_dir / MODEL / name, model_dir / name)
        else:
            (model_dir / name).unlink(missing_ok=True)
    (model_dir / package.METRICS).write_text(json.dumps(metrics, indent=1) + "\n")
    (model_dir / package.CARD).write_text(write_card(metrics))
    shutil.copy2(run_dir / MODEL / package.HEADER, model_dir / package.HEADER)
    package.load(model_dir)
