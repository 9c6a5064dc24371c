"""``presets.toml`` as frozen values."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

PATH = Path(__file__).with_name("presets.toml")


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of the hips: for testing, and of the rest to validate."""

    test_share: float
    validation_share: float


@dataclass(frozen=True, slots=True)
class Fit:
    """Optimizer, schedule and stop; epochs without a better validation loss end it."""

    batch: int
    epochs: int
    early_stop: int
    plateau: int
    plateau_factor: float
    learning_rate: float
    schedule: Literal["decay", "cosine"]
    decay: float
    weight_decay: float
    t_score_weight: float
    femur_weight: float
    patient_dropout: float
    precision: Literal["float32", "mixed_bfloat16"]


@dataclass(frozen=True, slots=True)
class Augment:
    """Ranges of random changes, each applied with ``probability``."""

    rotation_deg: float
    zoom: float
    shift_px: float
    flip_columns: bool
    flip_rows: bool
    noise_hu: float
    sharpness: float
    slice_mm: float
    probability: float


@dataclass(frozen=True, slots=True)
class Preset:
    """One way to train one network."""

    network: str
    name: str
    version: str
    fit: Fit
    augment: Augment

    def within(self, epochs: int) -> "Preset":
        """The preset at a budget of epochs; 0 keeps its own.

        Stop and plateau shrink by the root of what the epochs shrink by: in proportion, 30 of
        500 epochs would end at the third without gain, which a single noisy epoch decides.
        """
        if not epochs:
            return self
        share = (epochs / self.fit.epochs) ** 0.5
        return replace(
            self,
            fit=replace(
                self.fit,
                epochs=epochs,
                early_stop=max(1, round(self.fit.early_stop * share)),
                plateau=max(1, round(self.fit.plateau * share)),
            ),
        )


def load(name: str, path: Path = PATH) -> Preset:
    """A preset by name. Raises ValueError for an unknown one, TypeError for unknown keys."""
    tables = tomllib.loads(path.read_text())
    known = [key for key, table in tables.items() if "network" in table]
    if name not in known:
        raise ValueError(f"unknown preset {name!r}; {path.name} has: {', '.join(known)}")
    table = tables[name]

    def part(key: str) -> dict[str, Any]:
        """A table of its own, or another preset's by name."""
        value = table[key]
        return dict(tables[value][key] if isinstance(value, str) else value)

    return Preset(
        network=table["network"],
        name=table["name"],
        version=table["version"],
        fit=Fit(**part("fit")),
        augment=Augment(**part("augment")),
    )


def load_split(path: Path = PATH) -> Split:
    """How a data set is split."""
    return Split(**tomllib.loads(path.read_text())["split"])
