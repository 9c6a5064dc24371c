"""Typed, frozen form of ``presets.toml``."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

CHOICES = {
    "schedule": ("decay", "cosine"),
    "precision": ("float32", "mixed_bfloat16"),
    "class_weights": ("none", "balanced"),
}
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
    ``class_weights`` : ``balanced`` gives each grade the same weight in the loss of the grade,
    however many training hips have it.
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
    class_weights: Literal["none", "balanced"] = "none"


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
        where = f"--set {change}"
        if not sign:
            raise ValueError(f"{where}: expected KEY=VALUE with one of {', '.join(_keys())}")
        preset = _with_value(preset, key, text, where)
    return preset


def _keys() -> dict[str, str]:
    """Return the section of each key."""
    sections = {"fit": FitSettings, "augment": AugmentSettings}
    return {one.name: name for name, each in sections.items() for one in fields(each)}


def _with_value(preset: Preset, key: str, text: str, where: str) -> Preset:
    """Return the preset with one other value. ``where`` : place of the value, for messages."""
    keys = _keys()
    if key not in keys:
        raise ValueError(f"{where}: expected KEY=VALUE with one of {', '.join(keys)}")
    section: Any = getattr(preset, keys[key])
    value = _value_like(key, getattr(section, key), text, where)
    changed = replace(section, **{key: value})
    return replace(preset, **{keys[key]: changed})


def _value_like(key: str, old: object, text: str, where: str) -> object:
    """Return a value of the type of the preset's own."""
    if isinstance(old, bool):
        if text not in ("true", "false"):
            raise ValueError(f"{where}: expected true or false")
        return text == "true"
    if isinstance(old, str):
        if text not in CHOICES[key]:
            raise ValueError(f"{where}: expected one of {', '.join(CHOICES[key])}")
        return text
    try:
        value = int(text) if isinstance(old, int) else float(text)
    except ValueError:
        kind = "a whole number" if isinstance(old, int) else "a number"
        raise ValueError(f"{where}: expected {kind}, as {old}") from None
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{where}: expected a number that is not negative")
    return value


def load_own(path: Path, name: str) -> Preset:
    """Return a preset of a file of one's own: a preset of osteoscreen with other values.

    ``[NAME]`` has ``base``, and ``[NAME.fit]`` and ``[NAME.augment]`` the values that differ.

    Raises FileNotFoundError, and ValueError for what is unknown or of another type.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    table = tables.get(name)
    if not isinstance(table, dict) or not isinstance(table.get("base"), str):
        known = [key for key, one in tables.items() if isinstance(one, dict) and "base" in one]
        raise ValueError(
            f"{path} has no table [{name}] with `base`, the preset that it changes; it has: "
            f"{', '.join(known) or 'none'}"
        )
    preset = replace(load(table["base"]), name=name, version="1.0")
    for section, values in table.items():
        if section != "base":
            preset = _with_section(preset, section, values, f"{path} [{name}.{section}]")
    return preset


def _with_section(preset: Preset, section: str, values: object, where: str) -> Preset:
    """Return the preset with the values of one table of a file."""
    if section not in ("fit", "augment") or not isinstance(values, dict):
        raise ValueError(f"{where}: expected base, and the tables fit and augment")
    known = [key for key, each in _keys().items() if each == section]
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{where} {key}: expected one of {', '.join(known)}")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        preset = _with_value(preset, key, text, f"{where} {key} = {text}")
    return preset


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
