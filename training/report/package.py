"""``training package``: make a model directory with its card from a run."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.fit.run import MODEL, SUMMARY
from training.report.gates import objections
from training.report.model_card import write_card
from worker.pipeline.model import package


@dataclass(frozen=True, slots=True)
class Identity:
    """Name and version of a package; None keeps those of the run."""

    name: str | None = None
    version: str | None = None


def make_package(
    run_dir: Path,
    model_dir: Path,
    evaluation: dict[str, Any] | None,
    command: str,
    *,
    identity: Identity = Identity(),
    force: bool = False,
) -> str:
    """Copy the run's model, write metrics and card, and return the SHA-256 of the weights.

    ``evaluation`` : figures of the end-to-end evaluation of this model by ``evaluate``.

    Raises ModelError where the run has no model that the worker can use, and ValueError where
    a model of a site's own data has no name and version, or something speaks against the
    package and it is not forced.
    """
    metrics = _read_run(run_dir)
    header = package.verify(run_dir / MODEL)
    _check_identity(header, identity)
    reasons = objections(metrics)
    if reasons and not force:
        lines = [f"{run_dir} should not be packaged:", *reasons]
        raise ValueError(
            "\n".join([*lines, "--force packages it and puts this into its card."])
        )
    header |= {"name": identity.name or header["name"]}
    header |= {"version": identity.version or header["version"]}
    digest: str = header["sha256"][package.WEIGHTS]
    metrics["model"] |= {"name": header["name"], "version": header["version"]}
    metrics["packaging"] = {"command": command, "weights_sha256": digest, "objections": reasons}
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
    (model_dir / package.HEADER).write_text(json.dumps(header, indent=1) + "\n")
    package.load(model_dir)
    return digest


def _read_run(run_dir: Path) -> dict[str, Any]:
    path = run_dir / SUMMARY
    if not path.exists():
        raise ValueError(f"{run_dir} has no {SUMMARY}: fit did not finish; run it again")
    metrics: dict[str, Any] = json.loads(path.read_text())
    if not (run_dir / MODEL).exists():
        raise ValueError(
            f"{run_dir} has no model for the worker: {metrics['model']['name']} takes no image"
        )
    return metrics


def _check_identity(header: dict[str, Any], identity: Identity) -> None:
    """Raise ValueError unless a model of own data has a name and a version of its own."""
    if header["simulated"]:
        return
    if identity.name is None or identity.version is None:
        raise ValueError(
            "a model of your own data needs --name and --version: reports and records name the "
            "model by them"
        )
    if identity.name in (header["preset"], header["name"]):
        raise ValueError(
            f"--name {identity.name} is the name of a preset; name the model after your site"
        )
