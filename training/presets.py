"""``presets.toml`` as frozen values."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

PATH = Path(__file__).with_name("presets.toml")


@dataclass(frozen=True, slots=True)
class Cohort:
    """What is simulated, and how it is split (shares of the patients)."""

    patients: int
    scans: int
    test_share: float
    validation_share: float
    production_series: int


@dataclass(frozen=True, slots=True)
class Fit:
    """Optimizer, schedule and stop."""

    batch: int
    epochs: int
    patience: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float


@dataclass(frozen=True, slots=True)
class Augment:
    """Ranges of random changes, each applied with ``probability``."""

    rotation_deg: float
    zoom: float
    shift_px: float
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
    cohort: Cohort
    fit: Fit
    augment: Augment

    def resized(self, patients: int, epochs: int, series: int) -> "Preset":
        """The preset with another size of the cohort and the training; 0 patients or epochs and
        negative series keep its own."""
        return replace(
            self,
            cohort=replace(
                self.cohort,
                patients=patients or self.cohort.patients,
                production_series=self.cohort.production_series if series < 0 else series,
            ),
            fit=replace(self.fit, epochs=epochs or self.fit.epochs),
        )


def load(name: str, path: Path = PATH) -> Preset:
    """A preset by name. Raises ValueError for an unknown one, TypeError for unknown keys."""
    tables = tomllib.loads(path.read_text())
    if name not in tables:
        raise ValueError(f"unknown preset {name!r}; {path.name} has: {', '.join(tables)}")
    table = tables[name]
    return Preset(
        network=table["network"],
        name=table["name"],
        version=table["version"],
        cohort=Cohort(**table["cohort"]),
        fit=Fit(**table["fit"]),
        augment=Augment(**table["augment"]),
    )
