"""Weights that a run starts from: random ones, or those of a package (fine-tuning).

``RUN/initial.npz``  weights of the package, copied so that the run continues without it
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.fit.train import INITIAL
from training.presets import Preset
from worker.pipeline.model import package


@dataclass(frozen=True, slots=True)
class InitialModel:
    """The package whose weights a run starts from."""

    name: str
    version: str
    sha256: str
    training_data: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields for ``run.json``."""
        return asdict(self)


def read_initial(model_dir: Path, preset: Preset) -> InitialModel:
    """Verify a package whose weights shall be the start.

    Raises ModelError for an unusable package and ValueError for that of another network.
    """
    header = package.verify(model_dir)
    if "members" in header:
        raise ValueError(
            f"{model_dir} is an ensemble of {len(header['members'])} networks; start from the "
            "package of one of them, or of another run"
        )
    if header["preset"] != preset.network:
        raise ValueError(
            f"{model_dir} has the network {header['preset']}, the preset {preset.name} has "
            f"{preset.network}; give the preset of the package"
        )
    return InitialModel(
        name=header["name"],
        version=header["version"],
        sha256=header["sha256"][package.WEIGHTS],
        training_data=header["training_data"],
    )


def copy_weights(model_dir: Path, run_dir: Path) -> None:
    """Copy the weights of a verified package into the run."""
    if not (run_dir / INITIAL).exists():
        partial = run_dir / f"partial-{INITIAL}"
        shutil.copyfile(model_dir / package.WEIGHTS, partial)
        partial.replace(run_dir / INITIAL)
