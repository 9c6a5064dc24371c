"""Typed, frozen form of ``presets.toml``."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

CHOICES = ("decay", "cosine", "float32", "mixed_bfloat16")
PATH = Path(__file__).with_name("presets.toml")


@dataclass(frozen=True, slots=True)
class SplitShares:
    """Share of all hips for testing, and share of the remaining hips for validation."""

    test_share: float
    validation_share: float


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Optimizer, learning rate schedule and stopping rule.

    ``early_stop`` : epochs without a lower validation loss after which training stops.
    """

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
class AugmentSettings:
    """Ranges of the random changes; each change is applied with ``probability``."""

    rotation_deg: float
    zoom: float
    shift_px: float
    flip_columns: bool
    flip_rows: bool
    noise_hu: float
    offset_hu: float
    sharpness: float
    slice_mm: float
    probability: float


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings that train one network."""

    network: str
    name: str
    version: str
    fit: FitSettings
    augment: AugmentSettings

    def within(self, epochs: int) -> "Preset":
        """Return the preset with a budget of epochs; 0 keeps its own budget.

        ``early_stop`` and ``plateau`` shrink by the square root of the factor by which the
        epochs shrink. In proportion, a budget of 30 of 500 epochs would stop at the third
        epoch without gain, which one noisy epoch decides.
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


def override(preset: Preset, changes: Sequence[str]) -> Preset:
    """Return the preset with changes as ``learning_rate=1e-4`` or ``zoom=0.1``.

    Raises ValueError for an unknown key and for a value of another type.
    """
    for change in changes:
        key, sign, text = change.partition("=")
        sections: dict[str, Any] = {"fit": preset.fit, "augment": preset.augment}
        keys = {one.name: name for name, each in sections.items() for one in fields(each)}
        if not sign or key not in keys:
            raise ValueError(
                f"--set {change}: expected KEY=VALUE with one of {', '.join(keys)}"
            )
        section = sections[keys[key]]
        value = _value_like(getattr(section, key), text, change)
        preset = replace(preset, **{keys[key]: replace(section, **{key: value})})
    return preset


def _value_like(old: object, text: str, change: str) -> object:
    """Return a value of the type of the preset's own."""
    if isinstance(old, bool):
        if text not in ("true", "false"):
            raise ValueError(f"--set {change}: expected true or false")
        return text == "true"
    if isinstance(old, str):
        if text not in CHOICES:
            raise ValueError(f"--set {change}: expected one of {', '.join(CHOICES)}")
        return text
    try:
        value = int(text) if isinstance(old, int) else float(text)
    except ValueError:
        kind = "a whole number" if isinstance(old, int) else "a number"
        raise ValueError(f"--set {change}: expected {kind}, as {old}") from None
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"--set {change}: expected a number that is not negative")
    return value


def load(name: str, path: Path = PATH) -> Preset:
    """Return a preset by name.

    Raises ValueError for an unknown preset and TypeError for unknown keys.
    """
    tables = tomllib.loads(path.read_text())
    known = [key for key, table in tables.items() if "network" in table]
    if name not in known:
        raise ValueError(f"unknown preset {name!r}; {path.name} has: {', '.join(known)}")
    table = tables[name]

    def settings(key: str) -> dict[str, Any]:
        """Return the preset's own table, or that of the preset which it names."""
        value = table[key]
        return dict(tables[value][key] if isinstance(value, str) else value)

    return Preset(
        network=table["network"],
        name=table["name"],
        version=table["version"],
        fit=FitSettings(**settings("fit")),
        augment=AugmentSettings(**settings("augment")),
    )


def load_split(path: Path = PATH) -> SplitShares:
    """Return the shares by which a data set is split."""
    return SplitShares(**tomllib.loads(path.read_text())["split"])
