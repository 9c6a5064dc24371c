"""``training package``: make a model directory with its card from a run."""

import json
import shutil
from pathlib import Path
from typing import Any

from training.fit.run import MODEL, SUMMARY
from training.report.model_card import write_card
from worker.pipeline.model import package


def make_package(
    run_dir: Path, model_dir: Path, evaluation: dict[str, Any] | None, command: str
) -> None:
    """Copy the run's model and write metrics and card.

    ``evaluation`` : figures of the end-to-end evaluation of this model by ``evaluate``.
    Raises ModelError where the run has no model that the worker can use.
    """
    metrics = json.loads((run_dir / SUMMARY).read_text())
    metrics["packaging"] = {"command": command}
    if evaluation is not None:
        metrics["whole_path"] = evaluation
    model_dir.mkdir(parents=True, exist_ok=True)
    # The header is written last, so that an incomplete package does not load.
    (model_dir / package.HEADER).unlink(missing_ok=True)
    for name in (package.WEIGHTS, package.OUT_OF_DISTRIBUTION):
        if (run_dir / MODEL / name).exists():
            shutil.copy2(run_dir / MODEL / name, model_dir / name)
        else:
            (model_dir / name).unlink(missing_ok=True)
    (model_dir / package.METRICS).write_text(json.dumps(metrics, indent=1) + "\n")
    (model_dir / package.CARD).write_text(write_card(metrics))
    shutil.copy2(run_dir / MODEL / package.HEADER, model_dir / package.HEADER)
    package.load(model_dir)
